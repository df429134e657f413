package whatsapp

import (
	"encoding/json"
	"errors"
	"time"

	"go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
	"go.uber.org/zap"

	"pairgate.dev/services/lab/internal/refusal"
	"pairgate.dev/services/lab/internal/whatsapp/passkey"
	"pairgate.dev/services/lab/labapi"
)

// passkeyLife is how long the account's owner has to answer a challenge.
const passkeyLife = 10 * time.Minute

// passkeyExchange is what there is between a phone and a device once the account's
// passkey was asked for. The server's mutex guards it.
type passkeyExchange struct {
	challenge *passkey.Challenge
	options   []byte
	// secret is the one that the phone has scanned, nil when it has scanned none.
	secret *[32]byte
	// ref is what the device was given for the agreement on a key.
	ref       string
	agreement *passkey.Exchange
	revealed  bool
}

// authenticator holds the passkey of the phone's account.
func (s *Server) authenticator(phone string) (*passkey.Authenticator, error) {
	return passkey.NewAuthenticator([32]byte(s.derive("passkey", phone)))
}

// AnswerPasskey answers a challenge as the account's owner would with his passkey.
// options is a PublicKeyCredentialRequestOptions as JSON, the answer an
// AuthenticationResponse. The error is a *refusal.Error for options that the passkey
// is not for.
func (s *Server) AnswerPasskey(phone string, options []byte) ([]byte, error) {
	a, err := s.authenticator(phone)
	if err != nil {
		return nil, err
	}
	answer, err := a.Answer(options)
	if errors.Is(err, passkey.ErrOptions) || errors.Is(err, passkey.ErrRelyingParty) || errors.Is(err, passkey.ErrCredential) {
		return nil, refusal.Conflict(labapi.ReasonPasskeyRefused, "%s", err)
	}
	return answer, err
}

// askPasskey asks the device for the account's passkey, and lets the phone know. The
// caller holds the mutex.
func (s *Server) askPasskey(c *conn, scanned *[32]byte) {
	l := c.pairing.link
	a, err := s.authenticator(l.account.Phone)
	var x passkeyExchange
	if err == nil {
		x.challenge, x.secret = passkey.NewChallenge(a.Credential(), passkeyLife), scanned
		x.options, err = x.challenge.Options()
	}
	if err != nil {
		s.log.Error("a passkey could not be asked for", zap.Error(err))
		l.ended.Tell(&refusal.Error{Status: 500, Detail: "The lab could not ask for the passkey."})
		s.hangUpSilently(c)
		return
	}
	l.passkey = &x
	l.patience = time.AfterFunc(passkeyLife, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !l.written && !c.over {
			s.hangUpSilently(c)
		}
	})
	c.notify("passkey_prologue_request", leaf("passkey_request_options", x.options))
	l.ended.Tell(nil)
}

// passkeyRequest answers a request that belongs to a passkey, and says whether it was
// one. The caller holds the mutex.
func (s *Server) passkeyRequest(c *conn, id, kind string, n *binary.Node) bool {
	children := n.GetChildren()
	if len(children) != 1 || text(n.Attrs["xmlns"]) != "md" {
		return false
	}
	what := children[0]
	var answer func(*conn, string, *passkeyExchange, binary.Node)
	switch kind + " " + what.Tag {
	case "get passkey_request_options":
		answer = func(c *conn, id string, x *passkeyExchange, _ binary.Node) {
			c.send(result(id, leaf("passkey_request_options", x.options)))
		}
	case "get ref":
		answer = func(c *conn, id string, x *passkeyExchange, _ binary.Node) {
			x.ref = newRef()
			c.send(result(id, leaf("ref", []byte(x.ref))))
		}
	case "set passkey_prologue":
		answer = s.passkeyPrologue
	case "set companion_nonce":
		answer = s.companionNonce
	case "set encrypted_pairing_request":
		answer = s.pairingRequest
	default:
		return false
	}
	if c.pairing.link == nil || c.pairing.link.passkey == nil {
		c.send(refuse(id, "404", "item-not-found"))
		return true
	}
	answer(c, id, c.pairing.link.passkey, what)
	return true
}

// passkeyPrologue takes the answer to the challenge and begins the agreement on a key.
func (s *Server) passkeyPrologue(c *conn, id string, x *passkeyExchange, n binary.Node) {
	prologue, assertion := content(&n, "prologue_payload"), content(&n, "webauthn_assertion")
	agreement, err := passkey.Begin(prologue)
	switch {
	case err != nil, x.ref == "", agreement.Ref() != x.ref:
		c.send(refuse(id, "400", "bad-request"))
		return
	case x.challenge.Verify(assertion) != nil, credentialID(assertion) != string(content(&n, "credential_id")):
		c.send(refuse(id, "401", "not-authorized"))
		return
	}
	if proof, ok := n.GetOptionalChildByTag("pairing_handoff_proof"); ok && x.secret != nil && !passkey.HandoffProven(*x.secret, prologue, []byte(text(proof.Content))) {
		// The device is not the one whose code the phone has scanned.
		c.send(refuse(id, "401", "not-authorized"))
		return
	}
	identity, err := agreement.Identity()
	if err != nil {
		s.log.Error("a phone's part of an agreement could not be made", zap.Error(err))
		c.send(refuse(id, "500", "internal-server-error"))
		return
	}
	x.agreement, x.revealed = agreement, false
	c.send(result(id))
	c.notify("crsc_continuation", leaf("primary_ephemeral_identity", identity))
}

// credentialID is the raw id of an assertion's credential.
func credentialID(assertion []byte) string {
	var response types.WebAuthnResponse
	if json.Unmarshal(assertion, &response) != nil {
		return ""
	}
	return string(response.RawID)
}

// companionNonce takes the nonce that the device committed itself to. From it both
// sides make the code that is to be compared.
func (s *Server) companionNonce(c *conn, id string, x *passkeyExchange, n binary.Node) {
	if x.agreement == nil {
		c.send(refuse(id, "400", "bad-request"))
		return
	}
	code, err := x.agreement.Reveal([]byte(text(n.Content)))
	if err != nil {
		c.send(refuse(id, "401", "not-authorized"))
		return
	}
	x.revealed = true
	s.compared[c.pairing.link.account.Phone] = code
	c.send(result(id))
}

// pairingRequest takes the device's keys, sealed with the agreed key, and introduces it.
func (s *Server) pairingRequest(c *conn, id string, x *passkeyExchange, n binary.Node) {
	if x.agreement == nil || !x.revealed {
		c.send(refuse(id, "400", "bad-request"))
		return
	}
	request, err := x.agreement.Open([]byte(text(n.Content)))
	if err != nil || request.Noise != c.noise || request.Identity != c.pairing.registration.Identity {
		c.send(refuse(id, "401", "not-authorized"))
		return
	}
	x.agreement = nil
	c.pairing.link.patience.Stop()
	c.send(result(id))
	s.introduce(c, request.Secret)
}

// PasskeyCode is the code that the phone shows to be compared with the device's, empty
// when it has shown none.
func (s *Server) PasskeyCode(phone string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.compared[phone]
}
