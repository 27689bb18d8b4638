package deploy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/slipwayhq/slipway/deploy"
)

func TestCheckOfWhatAnOrderChoosesOfAnAccount(t *testing.T) {
	long := strings.Repeat("x", 129)
	for name, test := range map[string]struct {
		spec deploy.Spec
		want []string // fields with codes
	}{
		"nothing":          {deploy.Spec{}, nil},
		"all":              {deploy.Spec{Image: "i", Keys: []string{"a", "b"}, SecurityGroups: []string{"1", "2", "3", "4", "5"}}, nil},
		"six groups":       {deploy.Spec{SecurityGroups: []string{"1", "2", "3", "4", "5", "6"}}, []string{"spec.security_groups out_of_range"}},
		"too many keys":    {deploy.Spec{Keys: numbered(201)}, []string{"spec.keys out_of_range"}},
		"as many as go":    {deploy.Spec{Keys: numbered(200)}, nil},
		"twice":            {deploy.Spec{Keys: []string{"a", "a", "a"}, SecurityGroups: []string{"g", "g"}}, []string{"spec.keys already_exists", "spec.security_groups already_exists"}},
		"empty":            {deploy.Spec{Image: " ", Keys: []string{""}, SecurityGroups: []string{" "}}, []string{"spec.image invalid", "spec.keys invalid", "spec.security_groups invalid"}},
		"long":             {deploy.Spec{Image: long, Keys: []string{long}, SecurityGroups: []string{long}}, []string{"spec.image out_of_range", "spec.keys out_of_range", "spec.security_groups out_of_range"}},
		"of a rack":        {deploy.Spec{Provider: deploy.ProviderRack, Image: "i", Keys: []string{"k"}, SecurityGroups: []string{"g"}}, []string{"spec.image invalid", "spec.keys invalid", "spec.security_groups invalid"}},
		"of another field": {deploy.Spec{Provider: deploy.ProviderRack}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := test.spec
			switch s.Provider {
			case "":
				s.Provider, s.ServerProfile = deploy.ProviderIBMVPC, "p"
			case deploy.ProviderRack:
				s.MAC, s.ManagementIP = "52:54:00:12:34:56", "10.0.0.9"
			}
			var got []string
			for _, f := range s.Check("spec.") {
				got = append(got, f.Field+" "+string(f.Code))
			}
			if slices.Sort(got); !slices.Equal(got, test.want) {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

func numbered(n int) (list []string) {
	for i := range n {
		list = append(list, strings.Repeat("k", i%50+1)+strings.Repeat("j", i/50))
	}
	return list
}
