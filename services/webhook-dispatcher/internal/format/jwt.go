package format

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"time"
)

// jwtLife is how long a token of evolutionJWT is good for.
const jwtLife = 10 * time.Minute

// evolutionJWT returns the token that Evolution API sends where a webhook has the
// header jwt_key: HS256 with that key, from now for ten minutes.
func evolutionJWT(key string, now time.Time) string {
	enc := base64.RawURLEncoding
	claims := `{"iat":` + strconv.FormatInt(now.Unix(), 10) + `,"exp":` + strconv.FormatInt(now.Add(jwtLife).Unix(), 10) +
		`,"app":"evolution","action":"webhook"}`
	signed := enc.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + enc.EncodeToString([]byte(claims))
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(signed))
	return signed + "." + enc.EncodeToString(mac.Sum(nil))
}
