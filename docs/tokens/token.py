# Python 3 with the package cryptography:  python3 token.py BACKEND_KEY_FILE STEAM_ID APP_ID IDENTITY_KEY
import base64
import json
import sys
import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def load_backend_key(path):
    with open(path, "rb") as file:
        return Ed25519PrivateKey.from_private_bytes(file.read(32))


def login_token(backend_key, steam_id, app_id, identity_key):
    def encode(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    now = int(time.time())
    cnf = {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": identity_key}}
    claims = {"sub": str(steam_id), "aud": str(app_id), "iat": now, "exp": now + 600, "cnf": cnf}
    header = {"alg": "EdDSA", "typ": "JWT"}
    message = encode(json.dumps(header).encode()) + b"." + encode(json.dumps(claims).encode())
    return (message + b"." + encode(backend_key.sign(message))).decode()


if __name__ == "__main__":
    key_file, steam_id, app_id, identity_key = sys.argv[1:]
    print(login_token(load_backend_key(key_file), steam_id, app_id, identity_key))
