// .NET 8 or newer with the package BouncyCastle.Cryptography:  Token BACKEND_KEY_FILE STEAM_ID APP_ID IDENTITY_KEY
using System;
using System.IO;
using System.Text;
using System.Text.Json;
using Org.BouncyCastle.Crypto.Parameters;
using Org.BouncyCastle.Crypto.Signers;

static class Token
{
    // The backend's key is the first 32 bytes of its file.
    static string LoginToken(byte[] backendKey, string steamId, string appId, string identityKey)
    {
        long now = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        var cnf = new { jwk = new { kty = "OKP", crv = "Ed25519", x = identityKey } };
        var claims = new { sub = steamId, aud = appId, iat = now, exp = now + 600, cnf };
        var header = new { alg = "EdDSA", typ = "JWT" };
        string message = Encode(JsonSerializer.SerializeToUtf8Bytes(header)) + "."
            + Encode(JsonSerializer.SerializeToUtf8Bytes(claims));
        byte[] bytes = Encoding.ASCII.GetBytes(message);
        var signer = new Ed25519Signer();
        signer.Init(true, new Ed25519PrivateKeyParameters(backendKey, 0));
        signer.BlockUpdate(bytes, 0, bytes.Length);
        return message + "." + Encode(signer.GenerateSignature());
    }

    static string Encode(byte[] bytes) =>
        Convert.ToBase64String(bytes).TrimEnd('=').Replace('+', '-').Replace('/', '_');

    static void Main(string[] args) =>
        Console.WriteLine(LoginToken(File.ReadAllBytes(args[0]), args[1], args[2], args[3]));
}
