package docker

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// seccompList is the list of the system calls that containers may make. Its head describes the format.
//
//go:embed seccomp.list
var seccompList string

// A seccompProfile is a profile in the engine's format.
type seccompProfile struct {
	DefaultAction string        `json:"defaultAction"`
	ArchMap       []seccompArch `json:"archMap"`
	Rules         []seccompRule `json:"syscalls"`
}

// A seccompArch is an architecture whose system calls are allowed. Others is empty, so that other architectures of the same
// processor, such as 32-bit code, are refused.
type seccompArch struct {
	Name   string   `json:"architecture"`
	Others []string `json:"subArchitectures"`
}

type seccompRule struct {
	Names    []string      `json:"names"`
	Action   string        `json:"action"`
	ErrnoRet *uint         `json:"errnoRet,omitempty"`
	Args     []seccompArg  `json:"args,omitempty"` // all have to hold
	Includes seccompFilter `json:"includes,omitzero"`
}

type seccompArg struct {
	Index    uint   `json:"index"`
	Value    uint64 `json:"value"`
	ValueTwo uint64 `json:"valueTwo,omitempty"`
	Op       string `json:"op"`
}

type seccompFilter struct {
	Arches []string `json:"arches"` // by Go's names
}

const (
	seccompAllow  = "SCMP_ACT_ALLOW"
	seccompRefuse = "SCMP_ACT_ERRNO"
	seccompIs     = "SCMP_CMP_EQ"
	seccompMasked = "SCMP_CMP_MASKED_EQ" // argument & value == valueTwo
)

// Error numbers of Linux. They do not depend on the system on which jsd runs.
var seccompErrors = map[string]uint{"ENOSYS": 38, "EAFNOSUPPORT": 97}

var errSeccompList = errors.New("bad list of system calls")

// parseSeccomp returns the profile for a list.
func parseSeccomp(list string) (seccompProfile, error) {
	p := seccompProfile{
		DefaultAction: seccompRefuse, // by EPERM
		ArchMap:       []seccompArch{{"SCMP_ARCH_X86_64", []string{}}, {"SCMP_ARCH_AARCH64", []string{}}},
	}
	number := 0
	for line := range strings.Lines(list) {
		number++
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		rules, err := parseSeccompLine(words)
		if err != nil {
			return seccompProfile{}, fmt.Errorf("%w, line %d: %w", errSeccompList, number, err)
		}
		p.Rules = append(p.Rules, rules...)
	}
	return p, nil
}

// parseSeccompLine returns the rules for a line. If an argument may have one of several values, there is a rule for each
// value.
func parseSeccompLine(words []string) ([]seccompRule, error) {
	var rule seccompRule
	verb, words := words[0], words[1:]
	switch verb {
	case "allow":
		rule.Action = seccompAllow
	case "refuse":
		if len(words) == 0 {
			return nil, errors.New("an error is missing")
		}
		number, known := seccompErrors[words[0]]
		if !known {
			return nil, fmt.Errorf("no error %s", words[0])
		}
		rule.Action, rule.ErrnoRet, words = seccompRefuse, &number, words[1:]
	default:
		return nil, fmt.Errorf("no verb %s", verb)
	}
	end := len(words)
	if i := slices.Index(words, "when"); i >= 0 {
		end = i
	}
	names, condition := words[:end], words[end:]
	if i := slices.Index(names, "on"); i >= 0 {
		if rule.Includes.Arches = names[i+1:]; len(rule.Includes.Arches) == 0 {
			return nil, errors.New("an architecture is missing")
		}
		names = names[:i]
	}
	if rule.Names = names; len(names) == 0 {
		return nil, errors.New("calls are missing")
	}
	if len(condition) == 0 {
		return []seccompRule{rule}, nil
	}
	args, err := parseSeccompCondition(condition[1:])
	if err != nil {
		return nil, err
	}
	rules := make([]seccompRule, len(args))
	for i, arg := range args {
		rules[i] = rule
		rules[i].Args = []seccompArg{arg}
	}
	return rules, nil
}

// parseSeccompCondition parses "N is VALUE..." and "N & MASK is 0". The condition holds if one of the returned arguments
// holds.
func parseSeccompCondition(words []string) ([]seccompArg, error) {
	bad := fmt.Errorf("no condition %q", strings.Join(words, " "))
	if len(words) < 3 {
		return nil, bad
	}
	index, err := strconv.ParseUint(words[0], 10, 8)
	if err != nil || index > 5 {
		return nil, bad
	}
	arg := seccompArg{Index: uint(index), Op: seccompIs}
	if words[1] == "&" {
		if arg.Value, err = strconv.ParseUint(words[2], 0, 64); err != nil || !slices.Equal(words[3:], []string{"is", "0"}) {
			return nil, bad
		}
		arg.Op = seccompMasked
		return []seccompArg{arg}, nil
	}
	if words[1] != "is" {
		return nil, bad
	}
	var args []seccompArg
	for _, word := range words[2:] {
		if arg.Value, err = strconv.ParseUint(word, 0, 64); err != nil {
			return nil, bad
		}
		args = append(args, arg)
	}
	return args, nil
}

// seccompOption returns the profile as an option of a container.
func seccompOption(list string) (string, error) {
	profile, err := parseSeccomp(list)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(profile)
	return "seccomp=" + string(text), err
}
