// Drives a KMIP server with the client of github.com/ovh/kmip-go: one protocol version, a life of each kind of key.
//
//	ovh ADDRESS CA CERT KEY VERSION
package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/ovh/kmip-go"
	"github.com/ovh/kmip-go/kmipclient"
	"github.com/ovh/kmip-go/payloads"
)

var versions = map[string]kmip.ProtocolVersion{
	"1.0": kmip.V1_0, "1.1": kmip.V1_1, "1.2": kmip.V1_2, "1.3": kmip.V1_3, "1.4": kmip.V1_4,
}

func check(what string, err error) {
	if err != nil {
		log.Fatalf("%s: %v", what, err)
	}
}

func must(what string, ok bool) {
	if !ok {
		log.Fatalf("%s: not so", what)
	}
}

func end(c *kmipclient.Client, ids ...string) {
	for _, id := range ids {
		_, err := c.Revoke(id).WithRevocationReasonCode(kmip.RevocationReasonCodeCessationOfOperation).Exec()
		check("revoke "+id, err)
		_, err = c.Archive(id).Exec()
		check("archive "+id, err)
		_, err = c.Get(id).Exec()
		must("an archived key is not given out", err != nil)
		_, err = c.Recover(id).Exec()
		check("recover "+id, err)
		_, err = c.Destroy(id).Exec()
		check("destroy "+id, err)
		_, err = c.Get(id).Exec()
		must("a destroyed key is not given out", err != nil)
	}
}

func symmetric(c *kmipclient.Client, newer bool) {
	name := fmt.Sprintf("ovh-%d", time.Now().UnixNano())
	made, err := c.Create().AES(256, kmip.CryptographicUsageEncrypt|kmip.CryptographicUsageDecrypt).WithName(name).Exec()
	check("create", err)
	id := made.UniqueIdentifier
	_, err = c.Activate(id).Exec()
	check("activate", err)
	found, err := c.Locate().WithName(name).Exec()
	check("locate", err)
	must("the key is found by its name", len(found.UniqueIdentifier) == 1 && found.UniqueIdentifier[0] == id)
	got, err := c.Get(id).Exec()
	check("get", err)
	key, err := got.Object.(*kmip.SymmetricKey).KeyMaterial()
	check("key material", err)
	must("the key has 256 bits", len(key) == 32)
	list, err := c.GetAttributes(id).Exec()
	check("get attributes", err)
	state := kmip.State(0)
	for _, attr := range list.Attribute {
		if attr.AttributeName == kmip.AttributeNameState {
			state = attr.AttributeValue.(kmip.State)
		}
	}
	must("the key is active", state == kmip.StateActive)
	_, err = c.AddAttribute(id, "x-purpose", "invoices").Exec()
	check("add attribute", err)
	_, err = c.ModifyAttribute(id, "x-purpose", "payroll").Exec()
	check("modify attribute", err)
	_, err = c.DeleteAttribute(id, "x-purpose").Exec()
	check("delete attribute", err)
	names, err := c.GetAttributeList(id).Exec()
	check("get attribute list", err)
	must("there are attributes", len(names.AttributeName) > 5)
	if newer {
		params := kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCBC, PaddingMethod: kmip.PaddingMethodPKCS5}
		iv := make([]byte, 16)
		_, err = rand.Read(iv)
		check("random", err)
		text := []byte("Pay Ada 100")
		sealed, err := c.Encrypt(id).WithCryptographicParameters(params).WithIvCounterNonce(iv).Data(text).Exec()
		check("encrypt", err)
		opened, err := c.Decrypt(id).WithCryptographicParameters(params).WithIvCounterNonce(iv).Data(sealed.Data).Exec()
		check("decrypt", err)
		must("what was encrypted comes back", bytes.Equal(opened.Data, text))
	}
	_, err = c.ObtainLease(id).Exec()
	check("obtain lease", err)
	again, err := c.Rekey(id).Exec()
	check("rekey", err)
	must("the new key has another identifier", again.UniqueIdentifier != id)
	_, err = c.Destroy(id).Exec()
	must("an active key is not destroyed", err != nil)
	end(c, id)
	end(c, again.UniqueIdentifier)
}

func pairs(c *kmipclient.Client, signs bool) {
	made, err := c.CreateKeyPair().ECDSA(kmip.RecommendedCurveP_256, kmip.CryptographicUsageSign, kmip.CryptographicUsageVerify).Exec()
	check("create key pair", err)
	private, public := made.PrivateKeyUniqueIdentifier, made.PublicKeyUniqueIdentifier
	for _, id := range []string{private, public} {
		_, err = c.Activate(id).Exec()
		check("activate", err)
	}
	got, err := c.Get(public).WithKeyFormat(kmip.KeyFormatTypeX_509).Exec()
	check("get public key", err)
	_, ok := got.Object.(*kmip.PublicKey)
	must("it is a public key", ok)
	if signs {
		signer, err := c.Signer(context.Background(), private, public)
		check("signer", err)
		digest := sha256.Sum256([]byte("Pay Ada 100"))
		signature, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
		check("sign", err)
		must("the signature is good", ecdsa.VerifyASN1(signer.Public().(*ecdsa.PublicKey), digest[:], signature))
	}
	end(c, private, public)
}

func registered(c *kmipclient.Client) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check("generate", err)
	made, err := c.Register().PrivateKey(key, kmip.CryptographicUsageSign).Exec()
	check("register private key", err)
	got, err := c.Get(made.UniqueIdentifier).Exec()
	check("get private key", err)
	back, err := got.Object.(*kmip.PrivateKey).CryptoPrivateKey()
	check("private key", err)
	must("it is the same key", key.Equal(back))
	_, err = c.Destroy(made.UniqueIdentifier).Exec()
	check("destroy", err)
	secret, err := c.Register().SecretString(kmip.SecretDataTypePassword, "correct horse").Exec()
	check("register secret", err)
	got, err = c.Get(secret.UniqueIdentifier).Exec()
	check("get secret", err)
	data, err := got.Object.(*kmip.SecretData).Data()
	check("secret data", err)
	must("it is the same secret", string(data) == "correct horse")
	_, err = c.Destroy(secret.UniqueIdentifier).Exec()
	check("destroy", err)
}

func batch(c *kmipclient.Client) {
	create, err := c.Create().AES(128, kmip.CryptographicUsageEncrypt).Build()
	check("build", err)
	results, err := c.Batch(context.Background(), create, &payloads.ActivateRequestPayload{}, &payloads.GetRequestPayload{})
	check("batch", err)
	made, err := results.Unwrap()
	check("items of the batch", err)
	id := made[0].(*payloads.CreateResponsePayload).UniqueIdentifier
	must("later items are about the key of the first", made[2].(*payloads.GetResponsePayload).UniqueIdentifier == id)
	end(c, id)
}

func main() {
	log.SetFlags(0)
	c, err := kmipclient.Dial(os.Args[1], kmipclient.WithRootCAFile(os.Args[2]),
		kmipclient.WithClientCertFiles(os.Args[3], os.Args[4]), kmipclient.WithKmipVersions(versions[os.Args[5]]))
	check("dial", err)
	defer c.Close()
	must("the version is agreed on", c.Version() == versions[os.Args[5]])
	newer := os.Args[5] >= "1.2"
	all, err := c.Query().Operations().Objects().ServerInformation().Exec()
	check("query", err)
	must("the server has operations", len(all.Operations) > 10 && len(all.ObjectType) > 3)
	symmetric(c, newer)
	pairs(c, os.Args[5] >= "1.4") // its signer sends Digested Data, which came with 1.4
	registered(c)
	batch(c)
	fmt.Println("ok", c.Version())
}
