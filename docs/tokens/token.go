// Go, standard library:  go run token.go BACKEND_KEY_FILE STEAM_ID APP_ID IDENTITY_KEY
package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"
)

type object map[string]any

func loginToken(backendKey ed25519.PrivateKey, steamID, appID, identityKey string) (string, error) {
	now := time.Now().Unix()
	cnf := object{"jwk": object{"kty": "OKP", "crv": "Ed25519", "x": identityKey}}
	header, err := json.Marshal(object{"alg": "EdDSA", "typ": "JWT"})
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(object{"sub": steamID, "aud": appID, "iat": now, "exp": now + 600, "cnf": cnf})
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	message := encode(header) + "." + encode(claims)
	return message + "." + encode(ed25519.Sign(backendKey, []byte(message))), nil
}

func main() {
	file, err := os.ReadFile(os.Args[1])
	if err != nil || len(file) < ed25519.SeedSize {
		log.Fatal("cannot read the backend's key: ", err)
	}
	token, err := loginToken(ed25519.NewKeyFromSeed(file[:ed25519.SeedSize]), os.Args[2], os.Args[3], os.Args[4])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token)
}
