package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
)

// rackMachine is one of a rack's in a file: a line of a table as the app takes it,
// or an object of a JSON list.
type rackMachine struct {
	Name         string `json:"name"`
	MAC          string `json:"mac"`
	Serial       string `json:"serial"`
	ManagementIP string `json:"management_ip"`
	Netmask      string `json:"netmask"`
	Gateway      string `json:"gateway"`
	Controller   string `json:"controller"` // URL of its board management controller

	at string // where it stands: line 3, machine 2
}

// machines are the flags of each machine that is asked for, with one name each;
// in is standard input. What is wrong with flags and file is told at once.
func (f machineFlags) machines(in io.Reader) ([]machineFlags, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	var out []machineFlags
	if f.File == "" {
		for _, name := range f.Names {
			one := f
			one.Names = []string{name}
			out = append(out, one)
		}
		return out, nil
	}
	file := inputFile(f.File)
	raw, err := file.read(in)
	if err != nil {
		return nil, err
	}
	list, wrong := readMachines(raw)
	wrong = append(wrong, clashes(list)...)
	if len(list) == 0 && len(wrong) == 0 {
		wrong = []string{"there is no machine in it"}
	}
	for _, m := range list {
		one := f
		one.File, one.Names, one.MAC, one.Serial, one.ManagementIP = "", []string{m.Name}, m.MAC, m.Serial, m.ManagementIP
		one.Netmask, one.Gateway, one.Power.URL = cmp.Or(m.Netmask, f.Netmask), cmp.Or(m.Gateway, f.Gateway), m.Controller
		if f.Power != (powerFlags{}) && m.Controller == "" {
			wrong = append(wrong, m.at+": its controller's URL is missing, which settings of --power-… are for")
		}
		out = append(out, one)
	}
	if len(wrong) > 0 {
		return nil, exit{exitUsage, fmt.Errorf("%s: nothing was asked for:\n  %s", file.name(), strings.Join(wrong, "\n  "))}
	}
	return out, nil
}

// readMachines reads a file of machines; wrong is everything that cannot be
// meant, and the server judges the rest.
func readMachines(raw []byte) (list []rackMachine, wrong []string) {
	raw = bytes.TrimPrefix(raw, []byte("\ufeff")) // as spreadsheets begin a file
	if begin := bytes.TrimSpace(raw); len(begin) > 0 && (begin[0] == '[' || begin[0] == '{') {
		return readMachineList(begin)
	}
	for i, line := range strings.Split(string(raw), "\n") {
		if line = strings.TrimSuffix(line, "\r"); strings.TrimSpace(line) == "" || strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		m := rackMachine{at: fmt.Sprintf("line %d", i+1)}
		cells := cellsOf(line)
		if len(cells) < 3 || len(cells) > 4 {
			wrong = append(wrong, fmt.Sprintf("%s has %d column(s); name, MAC address or serial number, management IP and, if there is one, its controller's URL are meant", m.at, len(cells)))
			continue
		}
		m.Name, m.ManagementIP = cells[0], cells[2]
		if macLike.MatchString(cells[1]) {
			m.MAC = cells[1]
		} else {
			m.Serial = cells[1]
		}
		if len(cells) == 4 {
			m.Controller = cells[3]
		}
		list, wrong = append(list, m), append(wrong, m.missing()...)
	}
	return list, wrong
}

// cellsOf takes a line of a table apart. What comes from a spreadsheet is apart
// by tabs, and then cells may have spaces in them.
func cellsOf(line string) []string {
	var cells []string
	switch {
	case strings.Contains(line, "\t"):
		cells = strings.Split(line, "\t")
	case strings.ContainsAny(line, ",;"):
		cells = strings.Split(strings.ReplaceAll(line, ";", ","), ",")
	default:
		return strings.Fields(line)
	}
	for i, cell := range cells {
		cells[i] = strings.Trim(strings.TrimSpace(cell), `"`)
	}
	for len(cells) > 3 && cells[len(cells)-1] == "" {
		cells = cells[:len(cells)-1]
	}
	return cells
}

func readMachineList(raw []byte) (list []rackMachine, wrong []string) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	err := d.Decode(&list)
	if err == nil && d.More() {
		err = errors.New("there is something after the list")
	}
	if err != nil {
		return nil, []string{"it is not a JSON list of objects with name, mac, serial, management_ip, netmask, gateway and controller, all of them texts: " + err.Error()}
	}
	for i := range list {
		list[i].at = fmt.Sprintf("machine %d", i+1)
		wrong = append(wrong, list[i].missing()...)
	}
	return list, wrong
}

// missing tells what a machine cannot be without.
func (m rackMachine) missing() (wrong []string) {
	if m.Name == "" {
		wrong = append(wrong, m.at+": the name is missing")
	}
	if m.MAC == "" && m.Serial == "" {
		wrong = append(wrong, m.at+": the MAC address or the serial number is missing")
	}
	if strings.Contains(m.Serial, ":") {
		wrong = append(wrong, fmt.Sprintf("%s: %q is not a MAC address", m.at, m.Serial))
	}
	if _, err := netip.ParseAddr(m.ManagementIP); err != nil {
		wrong = append(wrong, fmt.Sprintf("%s: the management IP is %q, which is no IP address", m.at, m.ManagementIP))
	}
	return wrong
}

// clashes tells what two machines of a file have in common.
func clashes(list []rackMachine) (wrong []string) {
	first := map[string]string{}
	for _, m := range list {
		for _, own := range [][2]string{{"name", m.Name}, {"MAC address", strings.ReplaceAll(m.MAC, "-", ":")}, {"serial number", m.Serial}, {"management IP", m.ManagementIP}, {"controller", m.Controller}} {
			key := own[0] + " " + strings.ToLower(own[1])
			switch before, taken := first[key]; {
			case own[1] == "":
			case taken:
				wrong = append(wrong, fmt.Sprintf("%s: the same %s stands in %s", m.at, own[0], before))
			default:
				first[key] = m.at
			}
		}
	}
	return wrong
}
