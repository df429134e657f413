package service

import (
	"encoding/json"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"google.golang.org/protobuf/proto"
)

const redacted = "[redacted]"

// Redact wraps core so that fields whose names are those of secrets (token,
// apikey, authorization, password, secret, code, qr, phone, jid, …, also as the
// end of a longer name, in any spelling) are written as "[redacted]", inside
// objects and maps as well, and protobuf messages as their type alone.
//
// It is a second line of defence, which knows names only: a secret inside a
// message, an error text or a field called otherwise goes through. Code must not
// log secrets in the first place.
func Redact(core zapcore.Core) zapcore.Core { return redactingCore{core} }

type redactingCore struct{ zapcore.Core }

// With implements [zapcore.Core].
func (c redactingCore) With(fields []zapcore.Field) zapcore.Core {
	return redactingCore{c.Core.With(redactFields(fields))}
}

// Check implements [zapcore.Core]. It must not be the wrapped core's, which
// would add itself and so go round Write.
func (c redactingCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

// Write implements [zapcore.Core].
func (c redactingCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	return c.Core.Write(entry, redactFields(fields))
}

func redactFields(fields []zapcore.Field) []zapcore.Field {
	var changed []zapcore.Field // a copy is made only when needed: the slice is the caller's
	for i, f := range fields {
		safe, differs := redactField(f)
		if !differs {
			continue
		}
		if changed == nil {
			changed = append([]zapcore.Field(nil), fields...)
		}
		changed[i] = safe
	}
	if changed != nil {
		return changed
	}
	return fields
}

func redactField(f zapcore.Field) (safe zapcore.Field, differs bool) {
	if IsSecretName(f.Key) && f.Type != zapcore.SkipType && f.Type != zapcore.NamespaceType {
		return zap.String(f.Key, redacted), true
	}
	if m, ok := f.Interface.(proto.Message); ok {
		return zap.String(f.Key, "["+string(m.ProtoReflect().Descriptor().FullName())+"]"), true
	}
	switch f.Type {
	case zapcore.ObjectMarshalerType, zapcore.InlineMarshalerType, zapcore.ArrayMarshalerType:
		enc := zapcore.NewMapObjectEncoder()
		f.AddTo(enc)
		if !scrub(enc.Fields) {
			return f, false
		}
		if f.Type == zapcore.InlineMarshalerType {
			return zap.Inline(mapObject(enc.Fields)), true
		}
		return zap.Reflect(f.Key, enc.Fields[f.Key]), true
	case zapcore.ReflectType:
		return redactReflected(f)
	}
	return f, false
}

// redactReflected goes over the JSON that the encoder would write.
func redactReflected(f zapcore.Field) (safe zapcore.Field, differs bool) {
	text, err := json.Marshal(f.Interface)
	if err != nil {
		// What cannot be looked into is not written.
		return zap.String(f.Key, redacted), true
	}
	var value any
	if err := json.Unmarshal(text, &value); err != nil || !scrub(value) {
		return f, false
	}
	return zap.Reflect(f.Key, value), true
}

// scrub redacts the values of secret names in maps, however deep, and says
// whether there were any.
func scrub(value any) (differs bool) {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			if IsSecretName(name) {
				v[name] = redacted
				differs = true
			} else if scrub(inner) {
				differs = true
			}
		}
	case []any:
		for _, inner := range v {
			if scrub(inner) {
				differs = true
			}
		}
	}
	return differs
}

type mapObject map[string]any

// MarshalLogObject implements [zapcore.ObjectMarshaler].
func (m mapObject) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	for name, value := range m {
		if err := enc.AddReflected(name, value); err != nil {
			return err
		}
	}
	return nil
}

var (
	// secretNames are secret as a whole name only: "exit_code" is not.
	secretNames = map[string]bool{"code": true, "qr": true, "pin": true}
	// secretEndings are secret as the end of a name too: "phone", "account_phone".
	secretEndings = []string{
		"token", "apikey", "adminkey", "masterkey", "privatekey", "partnerkey", "authorization", "password", "passwd",
		"passphrase", "secret", "secrets", "credentials", "creds", "cookie", "passkey",
		"pairingcode", "qrcode", "qrtext", "phone", "phonenumber", "msisdn", "jid",
	}
)

var onlyLetters = strings.NewReplacer("_", "", "-", "", ".", "", " ", "")

// IsSecretName reports whether a field of this name is taken for a secret.
// Upper case and separators don't matter: apiKey, API-Key and api_key are one.
func IsSecretName(name string) bool {
	name = onlyLetters.Replace(strings.ToLower(name))
	if secretNames[name] {
		return true
	}
	for _, ending := range secretEndings {
		if strings.HasSuffix(name, ending) {
			return true
		}
	}
	return false
}
