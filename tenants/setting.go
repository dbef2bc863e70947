package tenants

import (
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"
)

// maxCount bounds every number.
const maxCount = 1_000_000_000

// A Setting is a row of a table of settings, which is a struct: a field is where the value goes, and its tag says
// all else.
//
//	key      its name in the tenants file, where a tenant may have a value of its own
//	name     of its flag, where that is not the field's; kong:"-" is for those without a flag
//	env      its variables; the first is JSD_ and the flag's name
//	default  as a flag has it, where it is always the same
//	help     for --help, which package kong makes of these tags, as it does of placeholder, enum and group
//	zero     "yes": 0, or the empty text, is a value as well; "unset": a flag may be 0, which is no value
//	unit     MiB, where the number counts these
//	expects  what a text or a number with a fraction has to be, in words, for errors in the file
//	items    what is in a list, for the same errors: names, texts
//	info     its name among the limits of runtime.info, which are whole numbers and times
type Setting struct {
	Flag     string // as it is typed, such as --max-timeout; empty: there is none
	Variable string
	Key      string
	Default  string
	Help     string
	Info     string

	unit, expects, items string
	zero                 string
	enum                 []string
	index                []int // of the field
}

// Table gives the rows of a struct and of those embedded in it, in their order.
func Table(of reflect.Type) (rows []Setting) {
	for _, field := range reflect.VisibleFields(of) {
		tag := field.Tag
		if field.Anonymous || tag.Get("help") == "" && tag.Get("key") == "" {
			continue
		}
		row := Setting{
			Key: tag.Get("key"), Default: tag.Get("default"), Help: tag.Get("help"), Info: tag.Get("info"),
			unit: tag.Get("unit"), expects: tag.Get("expects"), items: tag.Get("items"), zero: tag.Get("zero"),
			index: field.Index,
		}
		row.Variable, _, _ = strings.Cut(tag.Get("env"), ",")
		if enum := tag.Get("enum"); enum != "" {
			row.enum = strings.Split(enum, ",")
		}
		if tag.Get("kong") != "-" {
			row.Flag = "--" + tag.Get("name")
			if tag.Get("name") == "" {
				row.Flag += dashed(field.Name)
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// dashed is the name of a flag whose field is called this.
func dashed(field string) string {
	var b strings.Builder
	for i, r := range field {
		if i > 0 && unicode.IsUpper(r) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// in is a pointer to the setting's value in a struct of its table.
func (s *Setting) in(settings any) any {
	return reflect.ValueOf(settings).Elem().FieldByIndex(s.index).Addr().Interface()
}

// number is the value in a struct of the table, as a number: times are so many ms. It is 0 for texts and lists.
func (s *Setting) number(settings any) int64 {
	switch value := s.in(settings).(type) {
	case *int:
		return int64(*value)
	case *int64:
		return *value
	case *time.Duration:
		return value.Milliseconds()
	default:
		return 0
	}
}

// Number is the value in settings, a pointer to a struct of the table: what is counted in MiB is bytes, times are
// ms. It is 0 for texts and lists.
func (s *Setting) Number(settings any) int64 {
	if s.unit == "MiB" {
		return s.number(settings) << 20
	}
	return s.number(settings)
}

// Check says which number in settings, a pointer to a struct of the table, is too small. The error names the flag.
func Check(table []Setting, settings any) error {
	for i := range table {
		if err := table[i].check(settings); err != nil {
			return fmt.Errorf("%s %w", table[i].Flag, err)
		}
	}
	return nil
}

func (s *Setting) check(settings any) error {
	sign := 0
	switch value := s.in(settings).(type) {
	case *float64:
		switch {
		case s.zero != "" && !(*value >= 0 && *value <= maxCount):
			return hasToBe("from 0 to %d", maxCount)
		case s.zero == "" && !(*value > 0):
			return hasToBe("above 0")
		}
		return nil
	case *int:
		sign = min(max(*value, -1), 1)
	case *int64:
		sign = int(min(max(*value, -1), 1))
	case *time.Duration:
		sign = int(min(max(*value, -1), 1))
	default:
		return nil
	}
	switch {
	case s.Flag == "": // filled in later
		return nil
	case s.zero == "" && sign <= 0:
		return hasToBe("above 0")
	case sign < 0:
		return fmt.Errorf("may not be negative")
	}
	return nil
}

func hasToBe(what string, args ...any) error {
	return fmt.Errorf("has to be "+what, args...)
}
