package deploy

import "strings"

// serialMax is the longest serial number, in characters.
const serialMax = 64

// placeholders are what firmware has in place of a serial number that nobody
// has set: it is the same on many machines, and names none of them.
var placeholders = map[string]bool{
	"NONE": true, "N/A": true, "NA": true, "UNKNOWN": true, "NOT SPECIFIED": true, "NOT AVAILABLE": true, "NOT APPLICABLE": true,
	"DEFAULT STRING": true, "DEFAULT": true, "SYSTEM SERIAL NUMBER": true, "SERIAL NUMBER": true, "TO BE FILLED BY O.E.M.": true,
	"TO BE FILLED BY OEM": true, "EMPTY": true, "INVALID": true, "OEM": true, "O.E.M.": true, "CHASSIS SERIAL NUMBER": true,
	"0123456789": true, "1234567890": true, "123456789": true, "12345678": true,
}

// NormalSerial gives the serial number of a machine (SMBIOS, DMTF DSP0134
// section 7.2, System Information, Serial Number) as it is compared: without
// space around it, and in upper case, because firmware and stickers differ in
// that. ok is false if it is none: empty, longer than 64, not of printable
// ASCII, with one of & + # % ; in it (iPXE writes those into a URL as they are,
// where they mean something else), or what firmware has when nobody set one.
func NormalSerial(s string) (serial string, ok bool) {
	serial = strings.ToUpper(strings.TrimSpace(s))
	if serial == "" || len(serial) > serialMax || placeholders[serial] {
		return serial, false
	}
	distinct := false // not the same sign throughout, as in 0000000 or ......
	for i := range len(serial) {
		if serial[i] < ' ' || serial[i] > '~' || strings.IndexByte("&+#%;", serial[i]) >= 0 {
			return serial, false
		}
		distinct = distinct || serial[i] != serial[0]
	}
	return serial, distinct
}

// CheckSerial tells what is wrong with a serial number; empty is allowed.
func CheckSerial(field, serial string) []FieldError {
	if serial == "" {
		return nil
	}
	normal, ok := NormalSerial(serial)
	switch {
	case ok:
		return nil
	case len(normal) > serialMax:
		return []FieldError{{Field: field, Code: CodeOutOfRange, Message: "is longer than 64 characters"}}
	case placeholders[normal]:
		return []FieldError{{Field: field, Code: CodeInvalid, Message: "is what firmware shows when no serial number was set; give the MAC address"}}
	}
	return []FieldError{{Field: field, Code: CodeInvalid, Message: "is not a serial number that a machine can give: printable ASCII without & + # % ; and not one sign throughout"}}
}
