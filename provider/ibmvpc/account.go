package ibmvpc

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/IBM/go-sdk-core/v5/core"
	"github.com/IBM/vpc-go-sdk/vpcv1"
)

// What an account has that orders only refer to. It changes rarely, and a
// thousand orders ask for the same: an answer is believed for a moment.

// seenFor is how long an answer is believed.
const seenFor = time.Minute

// seen are answers, by what was asked.
type seen struct {
	mu      sync.Mutex
	answers map[string]answered
	turns   map[string]chan struct{} // to ask, by question
	forgot  int                      // how often; an answer that was asked for before is not kept
}

type answered struct {
	at    time.Time
	value any
}

// forget makes the next question one to IBM Cloud; it tells whether anything
// was remembered.
func (s *seen) forget() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	had := len(s.answers) > 0
	s.answers = nil
	s.forgot++
	return had
}

func (s *seen) recall(key string, now time.Time) (any, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.answers[key]
	if age := now.Sub(a.at); !ok || age < 0 || age >= seenFor {
		return nil, false
	}
	return a.value, true
}

func (s *seen) keep(key string, now time.Time, value any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answers == nil {
		s.answers = map[string]answered{}
	}
	s.answers[key] = answered{now, value}
}

// keepSince keeps an answer unless all was forgotten since it was asked for.
func (s *seen) keepSince(forgot int, key string, now time.Time, value any) {
	if s.times() == forgot {
		s.keep(key, now, value)
	}
}

func (s *seen) times() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.forgot
}

// turn waits until nobody else is asking the same; end lets the next one go on.
func (s *seen) turn(ctx context.Context, key string) (end func(), err error) {
	s.mu.Lock()
	if s.turns == nil {
		s.turns = map[string]chan struct{}{}
	}
	turn := s.turns[key]
	if turn == nil {
		turn = make(chan struct{}, 1)
		s.turns[key] = turn
	}
	s.mu.Unlock()
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// remembered gives the answer to a question of a moment ago, or asks. Of many
// that want to know the same at once, one asks. The answer is shared: it must
// not be changed.
func remembered[T any](ctx context.Context, p *Provider, key string, ask func() (T, error)) (T, error) {
	recall := func() (answer T, ok bool) {
		known, _ := p.seen.recall(key, p.now())
		answer, ok = known.(T)
		return answer, ok
	}
	if answer, ok := recall(); ok {
		return answer, nil
	}
	end, err := p.seen.turn(ctx, key)
	if err != nil {
		var none T
		return none, err
	}
	defer end()
	if answer, ok := recall(); ok {
		return answer, nil
	}
	forgot := p.seen.times()
	answer, err := ask()
	if err == nil {
		p.seen.keepSince(forgot, key, p.now(), answer)
	}
	return answer, err
}

func (p *Provider) vpcs(ctx context.Context) ([]vpcv1.VPC, error) {
	return remembered(ctx, p, "vpcs", func() ([]vpcv1.VPC, error) {
		return list(ctx, p, "listing VPCs", func() (*vpcv1.VpcsPager, error) {
			return p.vpc.NewVpcsPager(p.vpc.NewListVpcsOptions().SetLimit(pageSize))
		})
	})
}

func (p *Provider) subnets(ctx context.Context, vpc string) ([]vpcv1.Subnet, error) {
	return remembered(ctx, p, "subnets/"+vpc, func() ([]vpcv1.Subnet, error) {
		return list(ctx, p, "listing subnets", func() (*vpcv1.SubnetsPager, error) {
			return p.vpc.NewSubnetsPager(p.vpc.NewListSubnetsOptions().SetVPCID(vpc).SetLimit(pageSize))
		})
	})
}

func (p *Provider) securityGroups(ctx context.Context, vpc string) ([]vpcv1.SecurityGroup, error) {
	return remembered(ctx, p, "security groups/"+vpc, func() ([]vpcv1.SecurityGroup, error) {
		return list(ctx, p, "listing security groups", func() (*vpcv1.SecurityGroupsPager, error) {
			return p.vpc.NewSecurityGroupsPager(p.vpc.NewListSecurityGroupsOptions().SetVPCID(vpc).SetLimit(pageSize))
		})
	})
}

func (p *Provider) keys(ctx context.Context) ([]vpcv1.Key, error) {
	return remembered(ctx, p, "keys", func() ([]vpcv1.Key, error) {
		return list(ctx, p, "listing SSH keys", func() (*vpcv1.KeysPager, error) {
			return p.vpc.NewKeysPager(p.vpc.NewListKeysOptions().SetLimit(pageSize))
		})
	})
}

// zones are the names of the region's zones.
func (p *Provider) zones(ctx context.Context) ([]string, error) {
	return remembered(ctx, p, "zones", func() ([]string, error) {
		all, err := get(ctx, p, "listing zones", func(ctx context.Context) (*vpcv1.ZoneCollection, *core.DetailedResponse, error) {
			return p.vpc.ListRegionZonesWithContext(ctx, p.vpc.NewListRegionZonesOptions(p.cfg.Region))
		})
		if err != nil {
			return nil, err
		}
		var names []string
		for _, z := range all.Zones {
			names = append(names, value(z.Name))
		}
		return names, nil
	})
}

// bootImages are the public images that boot what their user data names, the
// newest first. There are more than a thousand images: the filter matters.
func (p *Provider) bootImages(ctx context.Context) ([]vpcv1.Image, error) {
	return remembered(ctx, p, "boot images", func() ([]vpcv1.Image, error) {
		all, err := list(ctx, p, "listing images for network boot", func() (*vpcv1.ImagesPager, error) {
			return p.vpc.NewImagesPager(p.vpc.NewListImagesOptions().SetLimit(pageSize).
				SetUserDataFormat([]string{vpcv1.ListImagesOptionsUserDataFormatIpxeConst}).
				SetStatus([]string{vpcv1.ListImagesOptionsStatusAvailableConst}).
				SetVisibility(vpcv1.ListImagesOptionsVisibilityPublicConst))
		})
		if err != nil {
			return nil, err
		}
		all = slices.DeleteFunc(all, func(i vpcv1.Image) bool {
			return value(i.UserDataFormat) != vpcv1.ImageUserDataFormatIpxeConst || value(i.Status) != vpcv1.ImageStatusAvailableConst
		})
		slices.SortStableFunc(all, func(a, b vpcv1.Image) int {
			return time.Time(value(b.CreatedAt)).Compare(time.Time(value(a.CreatedAt)))
		})
		return all, nil
	})
}

func (p *Provider) profiles(ctx context.Context) ([]vpcv1.BareMetalServerProfile, error) {
	return remembered(ctx, p, "profiles", func() ([]vpcv1.BareMetalServerProfile, error) {
		return list(ctx, p, "listing server profiles", func() (*vpcv1.BareMetalServerProfilesPager, error) {
			return p.vpc.NewBareMetalServerProfilesPager(p.vpc.NewListBareMetalServerProfilesOptions().SetLimit(pageSize))
		})
	})
}

// profile is a server profile with what the SDK does not show of it yet.
type profile struct {
	vpcv1.BareMetalServerProfile
	zones []string // where it is offered; none: the API did not tell
}

// profile reads one by its name. Since August 2026 the API tells in which zones
// it is offered, which SDK 0.87.0 drops: so the answer is read here.
func (p *Provider) profile(ctx context.Context, name string) (profile, error) {
	return remembered(ctx, p, "profile/"+name, func() (profile, error) {
		return get(ctx, p, "reading the server profile", func(ctx context.Context) (profile, *core.DetailedResponse, error) {
			builder := core.NewRequestBuilder(core.GET).WithContext(ctx)
			if _, err := builder.ResolveRequestURL(p.vpc.Service.Options.URL, `/bare_metal_server/profiles/{name}`, map[string]string{"name": name}); err != nil {
				return profile{}, nil, err
			}
			builder.AddHeader("Accept", "application/json")
			builder.AddQuery("version", value(p.vpc.Version))
			builder.AddQuery("generation", fmt.Sprint(value(p.vpc.Generation)))
			request, err := builder.Build()
			if err != nil {
				return profile{}, nil, err
			}
			var raw map[string]json.RawMessage
			response, err := p.vpc.Service.Request(request, &raw)
			if err != nil || raw == nil {
				return profile{}, response, err
			}
			return readProfile(raw, response)
		})
	})
}

func readProfile(raw map[string]json.RawMessage, response *core.DetailedResponse) (profile, *core.DetailedResponse, error) {
	var known *vpcv1.BareMetalServerProfile
	if err := core.UnmarshalModel(raw, "", &known, vpcv1.UnmarshalBareMetalServerProfile); err != nil {
		return profile{}, response, err
	}
	found := profile{BareMetalServerProfile: *known}
	var zones []struct {
		Name string `json:"name"`
	}
	// In another form than expected they tell nothing.
	if json.Unmarshal(raw["zones"], &zones) == nil {
		for _, z := range zones {
			if z.Name != "" {
				found.zones = append(found.zones, z.Name)
			}
		}
	}
	return found, response, nil
}
