// Node 16 or newer, no package:  node token.mjs BACKEND_KEY_FILE STEAM_ID APP_ID IDENTITY_KEY
import { createPrivateKey, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';

// What RFC 8410 has before the 32 bytes of an Ed25519 key.
const HEAD = Buffer.from('302e020100300506032b657004220420', 'hex');

export function loadBackendKey(path) {
    const seed = readFileSync(path).subarray(0, 32);
    return createPrivateKey({ key: Buffer.concat([HEAD, seed]), format: 'der', type: 'pkcs8' });
}

// The steam id is a string: a JavaScript number cannot hold it.
export function loginToken(backendKey, steamId, appId, identityKey) {
    const now = Math.floor(Date.now() / 1000);
    const cnf = { jwk: { kty: 'OKP', crv: 'Ed25519', x: identityKey } };
    const claims = { sub: steamId, aud: String(appId), iat: now, exp: now + 600, cnf };
    const encode = (part) => Buffer.from(JSON.stringify(part)).toString('base64url');
    const message = encode({ alg: 'EdDSA', typ: 'JWT' }) + '.' + encode(claims);
    return message + '.' + sign(null, Buffer.from(message), backendKey).toString('base64url');
}

const [keyFile, steamId, appId, identityKey] = process.argv.slice(2);
console.log(loginToken(loadBackendKey(keyFile), steamId, appId, identityKey));
