package cvmsim

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func TestWords(t *testing.T) {
	for line, want := range map[string][][]string{
		"cluster status":                {{"cluster", "status"}},
		"cluster '-s' 'a,b' create":     {{"cluster", "-s", "a,b", "create"}},
		"echo 'I agree' | cluster stop": {{"echo", "I agree"}, {"cluster", "stop"}},
		"a 'b|c;d$(e)'":                 {{"a", "b|c;d$(e)"}},
		"a''b ''":                       {{"ab", ""}},
		"cluster status; reboot":        nil,
		"cluster status && reboot":      nil,
		"cluster $(reboot)":             nil,
		"cluster `reboot`":              nil,
		"cluster \"a\"":                 nil,
		"cluster 'a":                    nil,
		"cluster status |":              nil,
		"":                              nil,
		"cluster a\nb":                  nil,
		"cluster a >b":                  nil,
		"cluster '-s' '1' '--cluster_name=a'; b '": nil,
	} {
		got, err := words(line)
		if (err != nil) != (want == nil) || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q %v", line, got, err)
		}
		if err != nil && !errors.Is(err, errSyntax) {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func ask(t *testing.T, c *CVM, key ssh.Signer, user, line string) (string, error) {
	t.Helper()
	client, err := ssh.Dial("tcp", netip.AddrPortFrom(c.Addr(), uint16(c.SSHPort())).String(), &ssh.ClientConfig{User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: ssh.FixedHostKey(c.hostKey.PublicKey())})
	if err != nil {
		return "", err
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out, err := session.CombinedOutput(line)
	return string(out), err
}

// By its own pace a site forms a cluster without anybody making beats; Prism
// answers when it is up, and not before.
func TestPace(t *testing.T) {
	key, err := newHostKey()
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{Key: key.PublicKey(), Pace: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := s.Add(netip.MustParseAddr("127.77.1.1"), Place{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Add(c.Addr(), Place{}); err == nil {
		t.Error("added twice")
	}
	if _, err := s.Add(netip.MustParseAddr("10.0.0.1"), Place{}); err == nil {
		t.Error("added outside of loopback")
	}
	if _, err := ask(t, c, key, "root", "true"); err == nil {
		t.Error("let in root")
	}
	if out, err := ask(t, c, key, "nutanix", "cluster status"); err == nil || !strings.Contains(out, "not found") {
		t.Errorf("without the profile: %q %v", out, err)
	}
	if out, err := ask(t, c, key, "nutanix", profile+"reboot"); err == nil || !strings.Contains(out, "not found") {
		t.Errorf("another command: %q %v", out, err)
	}
	if out, err := ask(t, c, key, "nutanix", profile+"cluster status"); err == nil || !strings.Contains(out, "Cluster is currently unconfigured") {
		t.Errorf("before: %q %v", out, err)
	}
	start := strings.NewReplacer("%[1]s", "create", "%[2]s", "a", "%[3]s", "cluster '-s' '127.77.1.1' '--redundancy_factor=1' create").Replace(startScript)
	if out, err := ask(t, c, key, "nutanix", start); err != nil || out != "slipway-begun\n" {
		t.Fatalf("%q %v", out, err)
	}
	limit := time.After(2 * time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.Working() {
		select {
		case <-limit:
			t.Fatalf("%+v", s.State())
		case <-tick.C:
		}
	}
	if out, err := ask(t, c, key, "nutanix", profile+"cluster status"); err != nil || !strings.Contains(out, "The state of the cluster: start") || strings.Contains(out, "DOWN") {
		t.Errorf("after: %q %v", out, err)
	}
	look := strings.NewReplacer("%[1]s", "create").Replace(lookScript)
	if out, err := ask(t, c, key, "nutanix", look); err != nil || !strings.HasPrefix(out, "slipway-job idle id=a exit=0\n") || !strings.Contains(out, "Success!") {
		t.Errorf("record: %q %v", out, err)
	}
	at := netip.AddrPortFrom(c.Addr(), uint16(c.PrismPort())).String()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 2 * time.Minute}, "tcp", at, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}
