package docker

import (
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func readProfile(t *testing.T, list string) seccompProfile {
	t.Helper()
	p, err := parseSeccomp(list)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// allowing are the rules of the profile that allow the call on the architecture.
func (p seccompProfile) allowing(call, arch string) (rules []seccompRule) {
	for _, r := range p.Rules {
		there := len(r.Includes.Arches) == 0 || slices.Contains(r.Includes.Arches, arch)
		if r.Action == seccompAllow && there && slices.Contains(r.Names, call) {
			rules = append(rules, r)
		}
	}
	return rules
}

// covers says whether one of the rules allows all that r does.
func covers(rules []seccompRule, r seccompRule) bool {
	return slices.ContainsFunc(rules, func(other seccompRule) bool {
		return len(other.Args) == 0 || reflect.DeepEqual(other.Args, r.Args)
	})
}

func TestProfileIsNoWiderThanDockers(t *testing.T) {
	text, err := os.ReadFile("testdata/docker-20.10.list")
	if err != nil {
		t.Fatal(err)
	}
	ours, dockers := readProfile(t, seccompList), readProfile(t, string(text))
	if ours.DefaultAction != seccompRefuse {
		t.Errorf("what is not listed gets %s", ours.DefaultAction)
	}
	for _, arch := range []string{"amd64", "arm64"} {
		allowed, fewer := 0, 0
		for _, r := range ours.Rules {
			for _, call := range r.Names {
				for _, rule := range ours.allowing(call, arch) {
					allowed++
					if !covers(dockers.allowing(call, arch), rule) {
						t.Errorf("%s: Docker does not allow %s with %v", arch, call, rule.Args)
					}
				}
			}
		}
		for _, r := range dockers.Rules {
			for _, call := range r.Names {
				if len(dockers.allowing(call, arch)) > 0 && len(ours.allowing(call, arch)) == 0 {
					fewer++
				}
			}
		}
		if allowed < 100 || fewer < 100 {
			t.Errorf("%s: %d allowed, %d fewer than Docker's: something is not read", arch, allowed, fewer)
		}
	}
	for _, arch := range ours.ArchMap {
		if len(arch.Others) > 0 {
			t.Errorf("%s lets in %v", arch.Name, arch.Others)
		}
	}
}

// A call that is named twice could be allowed by one line and bounded by the other.
func TestEachCallIsOnOneLine(t *testing.T) {
	seen := make(map[string]int)
	for number, line := range strings.Split(seccompList, "\n") {
		rules, err := parseSeccomp(line)
		if err != nil || len(rules.Rules) == 0 {
			continue
		}
		for _, call := range rules.Rules[0].Names {
			if before, twice := seen[call]; twice {
				t.Errorf("%s is on lines %d and %d", call, before, number+1)
			}
			seen[call] = number + 1
		}
	}
}

func TestParseSeccomp(t *testing.T) {
	number := uint(38)
	amd64 := seccompFilter{[]string{"amd64"}}
	for line, want := range map[string][]seccompRule{
		"  # allow read":                   nil,
		"allow read write # both":          {{Names: []string{"read", "write"}, Action: seccompAllow}},
		"refuse ENOSYS clone3":             {{Names: []string{"clone3"}, Action: seccompRefuse, ErrnoRet: &number}},
		"allow clone when 0 & 0x7e is 0":   {{Names: []string{"clone"}, Action: seccompAllow, Args: []seccompArg{{0, 0x7e, 0, seccompMasked}}}},
		"allow a on amd64 when 1 is 2 0x3": {{[]string{"a"}, seccompAllow, nil, []seccompArg{{1, 2, 0, seccompIs}}, amd64}, {[]string{"a"}, seccompAllow, nil, []seccompArg{{1, 3, 0, seccompIs}}, amd64}},
	} {
		if got := readProfile(t, line).Rules; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v", line, got)
		}
	}
	for _, line := range []string{
		"permit read", "allow", "allow when 0 is 1", "refuse", "refuse ENOSYS", "refuse EIO read", "allow a on", "allow a when",
		"allow a when 0", "allow a when 0 is", "allow a when 6 is 1", "allow a when x is 1", "allow a when 0 is y", "allow a when 0 = 1",
		"allow a when 0 & 1", "allow a when 0 & 1 is 1", "allow a when 0 & z is 0",
	} {
		if p, err := parseSeccomp("\n" + line); !errors.Is(err, errSeccompList) || !strings.Contains(err.Error(), "line 2: ") {
			t.Errorf("%s: got %+v, %v", line, p, err)
		}
	}
}
