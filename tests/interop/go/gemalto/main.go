// Drives a KMIP server with the codec of github.com/gemalto/kmip-go (Thales): requests as its structs marshal them, and
// answers that it must be able to read.
//
//	gemalto ADDRESS CA CERT KEY MINOR
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"net"
	"os"
	"strconv"

	"github.com/gemalto/kmip-go"
	"github.com/gemalto/kmip-go/kmip14"
	"github.com/gemalto/kmip-go/ttlv"
)

var (
	conn  *tls.Conn
	minor int
)

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

// The answer to one operation.
func call(op kmip14.Operation, payload interface{}) kmip.ResponseBatchItem {
	request, err := ttlv.Marshal(kmip.RequestMessage{
		RequestHeader: kmip.RequestHeader{
			ProtocolVersion: kmip.ProtocolVersion{ProtocolVersionMajor: 1, ProtocolVersionMinor: minor},
			BatchCount:      1,
		},
		BatchItem: []kmip.RequestBatchItem{{Operation: op, RequestPayload: payload}},
	})
	check("marshal", err)
	_, err = conn.Write(request)
	check("write", err)
	answer, err := ttlv.NewDecoder(conn).NextTTLV()
	check("read", err)
	check("answer", answer.Valid())
	var response kmip.ResponseMessage
	check("unmarshal", ttlv.NewDecoder(bytes.NewReader(answer)).Decode(&response))
	must("one item is answered", response.ResponseHeader.BatchCount == 1 && len(response.BatchItem) == 1)
	return response.BatchItem[0]
}

// The payload of an operation that must succeed.
func do(op kmip14.Operation, payload, ret interface{}) {
	item := call(op, payload)
	if item.ResultStatus != kmip14.ResultStatusSuccess {
		log.Fatalf("%v: %v %v %v", op, item.ResultStatus, item.ResultReason, item.ResultMessage)
	}
	if ret != nil {
		check("payload", ttlv.NewDecoder(bytes.NewReader(item.ResponsePayload.(ttlv.TTLV))).DecodeValue(ret, item.ResponsePayload.(ttlv.TTLV)))
	}
}

type uid struct{ UniqueIdentifier string }

type revoke struct {
	UniqueIdentifier string
	RevocationReason struct{ RevocationReasonCode kmip14.RevocationReasonCode }
}

func end(id string, active bool) {
	if active {
		request := revoke{UniqueIdentifier: id}
		request.RevocationReason.RevocationReasonCode = kmip14.RevocationReasonCodeCessationOfOperation
		do(kmip14.OperationRevoke, request, nil)
	}
	do(kmip14.OperationDestroy, kmip.DestroyRequestPayload{UniqueIdentifier: id}, nil)
}

func main() {
	log.SetFlags(0)
	host, _, err := net.SplitHostPort(os.Args[1])
	check("address", err)
	pem, err := os.ReadFile(os.Args[2])
	check("ca", err)
	roots := x509.NewCertPool()
	must("the CA can be read", roots.AppendCertsFromPEM(pem))
	certificate, err := tls.LoadX509KeyPair(os.Args[3], os.Args[4])
	check("certificate", err)
	conn, err = tls.Dial("tcp", os.Args[1], &tls.Config{RootCAs: roots, ServerName: host, Certificates: []tls.Certificate{certificate}})
	check("dial", err)
	defer conn.Close()
	minor, err = strconv.Atoi(os.Args[5])
	check("minor", err)

	if minor >= 1 {
		var versions kmip.DiscoverVersionsResponsePayload
		do(kmip14.OperationDiscoverVersions, kmip.DiscoverVersionsRequestPayload{}, &versions)
		must("there are versions", len(versions.ProtocolVersion) >= 5)
	}

	var template kmip.TemplateAttribute
	template.Append(kmip14.TagCryptographicAlgorithm, kmip14.CryptographicAlgorithmAES)
	template.Append(kmip14.TagCryptographicLength, 256)
	template.Append(kmip14.TagCryptographicUsageMask, kmip14.CryptographicUsageMaskEncrypt|kmip14.CryptographicUsageMaskDecrypt)
	template.Append(kmip14.TagName, kmip.Name{NameValue: fmt.Sprintf("gemalto-%d", minor), NameType: kmip14.NameTypeUninterpretedTextString})
	var created kmip.CreateResponsePayload
	do(kmip14.OperationCreate, kmip.CreateRequestPayload{ObjectType: kmip14.ObjectTypeSymmetricKey, TemplateAttribute: template}, &created)
	do(kmip14.OperationActivate, uid{created.UniqueIdentifier}, nil)
	var got kmip.GetResponsePayload
	do(kmip14.OperationGet, kmip.GetRequestPayload{UniqueIdentifier: created.UniqueIdentifier}, &got)
	must("it is a symmetric key", got.ObjectType == kmip14.ObjectTypeSymmetricKey && got.SymmetricKey != nil)
	must("it has 256 bits", got.SymmetricKey.KeyBlock.CryptographicLength == 256)
	item := call(kmip14.OperationDestroy, kmip.DestroyRequestPayload{UniqueIdentifier: created.UniqueIdentifier})
	must("an active key is not destroyed", item.ResultStatus == kmip14.ResultStatusOperationFailed)
	end(created.UniqueIdentifier, true)

	var common kmip.TemplateAttribute
	common.Append(kmip14.TagCryptographicAlgorithm, kmip14.CryptographicAlgorithmRSA)
	common.Append(kmip14.TagCryptographicLength, 2048)
	var private, public kmip.TemplateAttribute
	private.Append(kmip14.TagCryptographicUsageMask, kmip14.CryptographicUsageMaskSign)
	public.Append(kmip14.TagCryptographicUsageMask, kmip14.CryptographicUsageMaskVerify)
	var pair kmip.CreateKeyPairResponsePayload
	do(kmip14.OperationCreateKeyPair, kmip.CreateKeyPairRequestPayload{CommonTemplateAttribute: &common,
		PrivateKeyTemplateAttribute: &private, PublicKeyTemplateAttribute: &public}, &pair)
	do(kmip14.OperationGet, kmip.GetRequestPayload{UniqueIdentifier: pair.PublicKeyUniqueIdentifier}, &got)
	must("it is a public key", got.PublicKey != nil)
	end(pair.PrivateKeyUniqueIdentifier, false)
	end(pair.PublicKeyUniqueIdentifier, false)

	var names kmip.TemplateAttribute
	names.Append(kmip14.TagCryptographicUsageMask, kmip14.CryptographicUsageMaskVerify)
	secret := &kmip.SecretData{SecretDataType: kmip14.SecretDataTypePassword, KeyBlock: kmip.KeyBlock{
		KeyFormatType: kmip14.KeyFormatTypeOpaque, KeyValue: &kmip.KeyValue{KeyMaterial: []byte("correct horse")}}}
	var registered kmip.RegisterResponsePayload
	do(kmip14.OperationRegister, kmip.RegisterRequestPayload{ObjectType: kmip14.ObjectTypeSecretData,
		TemplateAttribute: names, SecretData: secret}, &registered)
	got = kmip.GetResponsePayload{}
	do(kmip14.OperationGet, kmip.GetRequestPayload{UniqueIdentifier: registered.UniqueIdentifier}, &got)
	must("it is the same secret", got.SecretData != nil &&
		bytes.Equal(got.SecretData.KeyBlock.KeyValue.KeyMaterial.([]byte), []byte("correct horse")))
	end(registered.UniqueIdentifier, false)
	fmt.Printf("ok 1.%d\n", minor)
}
