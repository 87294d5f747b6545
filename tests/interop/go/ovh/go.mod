module keystead.test/ovh

go 1.23.0

require github.com/ovh/kmip-go v0.6.0
