package netmode

import (
	"errors"
	"testing"
)

func TestCheck(t *testing.T) {
	tests := []struct {
		setting Setting
		want    error
	}{
		{Setting{}, nil},
		{Setting{Mode: Stub}, nil},
		{Setting{Mode: DHCP}, nil},
		{Setting{Mode: Static, Address: "10.0.2.15/24"}, nil},
		{Setting{Mode: Static, Address: "10.0.2.15/24", Gateway: "10.0.2.2"}, nil},
		{Setting{Mode: Static, Gateway: "10.0.2.2"}, ErrMissing},
		{Setting{Mode: Stub, Address: "10.0.2.15/24"}, ErrUnused},
		{Setting{Gateway: "10.0.2.2"}, ErrUnused},
	}
	for _, tt := range tests {
		if err := tt.setting.Check(); !errors.Is(err, tt.want) {
			t.Errorf("%+v: %v, want %v", tt.setting, err, tt.want)
		}
	}
}

func TestTexts(t *testing.T) {
	tests := []struct {
		check func(string) error
		text  string
		want  error
	}{
		{CheckMode, "dhcp", nil},
		{CheckMode, "", ErrMode},
		{CheckAddress, "192.168.0.1/30", nil},
		{CheckAddress, "192.168.0.1", ErrAddress},
		{CheckAddress, "192.168.0.1/33", ErrAddress},
		{CheckAddress, "fe80::1/64", ErrAddress},
		{CheckAddress, "::ffff:10.0.0.1/120", ErrAddress},
		{CheckGateway, "10.0.2.2", nil},
		{CheckGateway, "10.0.2.2/24", ErrGateway},
		{CheckGateway, "::1", ErrGateway},
	}
	for _, tt := range tests {
		if err := tt.check(tt.text); !errors.Is(err, tt.want) {
			t.Errorf("%q: %v, want %v", tt.text, err, tt.want)
		}
	}
}
