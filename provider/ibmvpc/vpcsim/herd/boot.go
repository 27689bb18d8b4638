package herd

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

// cycle is one power cycle.
type cycle struct {
	*machine
	opts   Options
	spec   vpcsim.Spec
	client *http.Client

	base, ip, token string // of the kernel's command line
	bootID          string
}

// errOver ends an installation that nobody waits for any more.
var errOver = errors.New("nobody waits for this machine any more")

// live boots until the power goes.
func (c *cycle) live(ctx context.Context) error {
	for {
		c.bootID = uuid.NewString()
		if c.opts.OnBoot != nil {
			c.opts.OnBoot(c.id)
		}
		if err := sleep(ctx, c.opts.Firmware); err != nil {
			return err
		}
		if c.installed != nil {
			return c.serve(ctx)
		}
		switch again, err := c.networkBoot(ctx); {
		case err != nil:
			return err
		case !again:
			<-ctx.Done()
			return nil
		}
	}
}

// networkBoot fetches the boot script and does what it says; again tells that
// the machine restarts.
func (c *cycle) networkBoot(ctx context.Context) (again bool, err error) {
	script, err := c.persist(ctx, c.spec.UserData)
	if err != nil {
		return false, err
	}
	if !bytes.HasPrefix(script, []byte("#!ipxe")) {
		return false, fmt.Errorf("what the boot URL sent is no iPXE script: %.80q", script)
	}
	boot := parse(string(script))
	switch {
	case boot.kernel == "" && boot.chains:
		return true, sleep(ctx, boot.pause)
	case boot.kernel == "":
		return false, nil // it stops
	}
	c.base, c.ip, c.token = boot.args["slipway.url"], boot.args["slipway.ip"], boot.args["slipway.token"]
	for _, file := range []string{boot.kernel, boot.initrd} {
		if err := c.image(ctx, file, boot.sums[file[strings.LastIndexByte(file, '/')+1:]]); err != nil {
			return false, err
		}
	}
	err = c.install(ctx)
	if errors.Is(err, errOver) {
		return false, nil
	}
	return err == nil, err
}

// bootScript is what a machine needs of an iPXE script.
type bootScript struct {
	kernel, initrd string
	args, sums     map[string]string
	chains         bool
	pause          time.Duration
}

func parse(text string) bootScript {
	b := bootScript{args: map[string]string{}, sums: map[string]string{}}
	base := ""
	for line := range strings.Lines(text) {
		words := strings.Fields(strings.ReplaceAll(line, "${base}", base))
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "#":
			if len(words) == 4 && words[1] == "sha256" {
				b.sums[words[2]] = words[3]
			}
		case "set":
			if words[1] == "base" && len(words) > 2 {
				base = words[2]
			}
		case "kernel":
			b.kernel = words[1]
			for _, word := range words[2:] {
				if name, value, ok := strings.Cut(word, "="); ok {
					b.args[name] = value
				}
			}
		case "initrd":
			b.initrd = words[len(words)-1]
			for _, word := range words[1:] {
				if strings.HasPrefix(word, "http") {
					b.initrd = word
				}
			}
		case "sleep":
			if seconds, err := strconv.Atoi(words[1]); err == nil {
				b.pause = time.Duration(seconds) * time.Second
			}
		case "chain":
			b.chains = true
		}
	}
	return b
}

// configuration is what a machine reads of its node configuration.
type configuration struct {
	Node struct {
		CVMIP string `json:"cvm_ip"`
	} `json:"node_config"`
	Artifacts []struct {
		Name   string `json:"name"`
		URL    string `json:"url"`
		SHA256 string `json:"sha256"`
		Size   int64  `json:"size"`
	} `json:"artifacts"`
	Access struct {
		User           string   `json:"user"`
		AuthorizedKeys []string `json:"authorized_keys"`
		SSHPort        int      `json:"ssh_port"`
	} `json:"access"`
}

// install does what foundation-init.sh does, as far as the server sees it.
func (c *cycle) install(ctx context.Context) error {
	for _, name := range []string{"foundation-init.sh", "report.sh", "network-config.sh", "post-install.sh"} {
		if _, err := c.persist(ctx, c.base+"/boot/scripts/"+name); err != nil {
			return err
		}
	}
	document, err := c.persist(ctx, c.base+"/boot/server/"+c.ip)
	if err != nil {
		return err
	}
	var config configuration
	if err := json.Unmarshal(document, &config); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	steps := []func() error{
		func() error { return c.both(ctx, "foundation_start", "configuration is loaded", nil) },
		func() error { return c.both(ctx, "network_config", "network is set up", nil) },
		func() error { return c.both(ctx, "storage_discovery", "disks were found", c.inventory()) },
		func() error { return c.download(ctx, config) },
		func() error { return c.write(ctx) },
		func() error { return c.finish(ctx, config) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// both reports a phase's begin and its end.
func (c *cycle) both(ctx context.Context, phase, message string, details any) error {
	if err := c.report(ctx, report{Phase: phase, Status: "in_progress", Message: "begins"}); err != nil {
		return err
	}
	return c.report(ctx, report{Phase: phase, Status: "success", Message: message, Details: details})
}

func (c *cycle) inventory() any {
	type disk struct {
		Name   string `json:"name"`
		Bytes  int64  `json:"size_bytes"`
		Serial string `json:"serial"`
		Type   string `json:"type"`
	}
	var disks []disk
	for i, d := range c.spec.Disks {
		disks = append(disks, disk{fmt.Sprintf("nvme%dn1", i), d.SizeGB * 1e9, d.ID, d.InterfaceType})
	}
	return map[string]any{"disks": disks}
}

// download waits for a slot and fetches every artifact.
func (c *cycle) download(ctx context.Context, config configuration) error {
	progress := func(n int) *int { return &n }
	err := c.report(ctx, report{Phase: "image_download", Status: "in_progress", Message: "downloading", Progress: progress(0)})
	if err != nil {
		return err
	}
	if err := c.slot(ctx, config); err != nil {
		return err
	}
	for i, a := range config.Artifacts {
		if err := c.image(ctx, a.URL, a.SHA256); err != nil {
			return err
		}
		done := report{Phase: "image_download", Status: "in_progress", Message: a.Name + " is here", Progress: progress((i + 1) * 100 / len(config.Artifacts))}
		if err := c.report(ctx, done); err != nil {
			return err
		}
	}
	return c.report(ctx, report{Phase: "image_download", Status: "success", Message: "artifacts are here", Progress: progress(100)})
}

// slot asks for a download slot until there is one.
func (c *cycle) slot(ctx context.Context, config configuration) error {
	var total int64
	for _, a := range config.Artifacts {
		total += a.Size
	}
	for {
		res, err := c.call(ctx, http.MethodPost, c.base+"/boot/downloads", "application/x-www-form-urlencoded", fmt.Appendf(nil, "bytes=%d", total))
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && (res.status == http.StatusOK || res.status == http.StatusNotFound):
			return nil
		case err == nil && (res.status == http.StatusUnauthorized || bytes.Contains(res.body, []byte("deployment_ended"))):
			return errOver
		}
		if err := sleep(ctx, c.pause(res)); err != nil {
			return err
		}
	}
}

// write is the installer.
func (c *cycle) write(ctx context.Context) error {
	for n := 0; n <= 100; n += 50 {
		if err := c.report(ctx, report{Phase: "installation", Status: "in_progress", Message: "writing", Progress: &n}); err != nil {
			return err
		}
	}
	return c.report(ctx, report{Phase: "installation", Status: "success", Message: "installed"})
}

// finish makes the installed system and reports its identity.
func (c *cycle) finish(ctx context.Context, config configuration) error {
	if err := c.report(ctx, report{Phase: "post_install", Status: "in_progress", Message: "final steps"}); err != nil {
		return err
	}
	sys, err := newSystem(config, c.spec)
	if err != nil {
		return err
	}
	details := map[string]any{"ssh_host_key": sys.publicKey(), "boot_id": c.bootID, "ssh_port": sys.port}
	if c.opts.CVMs != nil && config.Node.CVMIP != "" {
		if sys.guest, err = newGuest(config.Node.CVMIP); err != nil {
			return err
		}
		details["cvm_ssh_host_key"] = keyText(sys.guest.hostKey)
	}
	err = c.report(ctx, report{Phase: "post_install", Status: "success", Message: "the machine may restart", Details: details})
	if err == nil {
		c.installed = sys
	}
	return err
}

// report is a machine's report (POST /api/status/phase).
type report struct {
	IP         string    `json:"server_ip"`
	Phase      string    `json:"phase"`
	Status     string    `json:"status"`
	Message    string    `json:"message"`
	Progress   *int      `json:"progress,omitempty"`
	Details    any       `json:"details,omitempty"`
	OccurredAt time.Time `json:"occurred_at"`
	Key        string    `json:"idempotency_key"`
}

// report posts until the server has it or says that it is over.
func (c *cycle) report(ctx context.Context, r report) error {
	r.IP, r.OccurredAt, r.Key = c.ip, time.Now().UTC(), uuid.NewString()
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := sleep(ctx, c.opts.Step); err != nil {
		return err
	}
	for {
		res, err := c.call(ctx, http.MethodPost, c.base+"/api/status/phase", "application/json", body)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && res.status == http.StatusOK:
			return nil
		case err == nil && (res.status == http.StatusUnauthorized || bytes.Contains(res.body, []byte("deployment_ended"))):
			return errOver
		case err == nil && res.status < 500 && res.status != http.StatusTooManyRequests:
			c.opts.Logger.Warn("a report was refused", "server", c.spec.Name, "phase", r.Phase, "status", res.status, "answer", string(res.body))
			return nil // as report.sh: dropped
		}
		if err := sleep(ctx, c.pause(res)); err != nil {
			return err
		}
	}
}

type answer struct {
	status     int
	body       []byte
	retryAfter time.Duration
}

func (c *cycle) pause(a answer) time.Duration {
	if a.retryAfter > 0 {
		return a.retryAfter
	}
	return c.opts.Retry
}

func (c *cycle) call(ctx context.Context, method, url, kind string, body []byte) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	out := answer{status: res.StatusCode}
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil {
		out.retryAfter = time.Duration(seconds) * time.Second
	}
	if res.ContentLength < 0 {
		out.body, err = io.ReadAll(res.Body)
		return out, err
	}
	out.body = make([]byte, res.ContentLength)
	_, err = io.ReadFull(res.Body, out.body)
	return out, err
}

// persist gets a file, trying again until it comes.
func (c *cycle) persist(ctx context.Context, url string) ([]byte, error) {
	for {
		res, err := c.call(ctx, http.MethodGet, url, "", nil)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err == nil && res.status == http.StatusOK:
			return res.body, nil
		case err == nil && res.status < 500 && res.status != http.StatusTooManyRequests:
			return nil, fmt.Errorf("GET %s: %d %.200s", url, res.status, res.body)
		}
		if err := sleep(ctx, c.pause(res)); err != nil {
			return nil, err
		}
	}
}

// image gets a file and compares its SHA-256.
func (c *cycle) image(ctx context.Context, url, want string) error {
	data, err := c.persist(ctx, url)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	if got := hex.EncodeToString(sum[:]); got != want {
		return fmt.Errorf("%s: sha256 is %s, expected %s", url, got, want)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
