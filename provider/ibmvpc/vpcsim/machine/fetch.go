package machine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// maxFile is the largest file a machine's firmware takes: its memory is finite.
const maxFile = 4 << 30

// newClient is an HTTP client that calls from the machine's own address, which
// is how the server sees who asks. No proxy: firmware knows none.
func newClient(ip net.IP) *http.Client {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: ip}, Timeout: 10 * time.Second}
	return &http.Client{
		Transport: &http.Transport{
			DialContext:           dialer.DialContext,
			DisableKeepAlives:     true, // as iPXE: a connection a file
			ResponseHeaderTimeout: 30 * time.Second,
		},
		Timeout: 30 * time.Minute,
	}
}

// download gets a file at no more than rate bytes a second (0: as fast as it
// comes). Only a script's text is kept, of anything else size and SHA-256.
func download(ctx context.Context, client *http.Client, clock Clock, rate int64, uri *url.URL) (*pxeImage, error) {
	if uri.Scheme != "http" {
		return nil, fmt.Errorf("%s: not supported: firmware fetches by http only", uri.Scheme)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, uri.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "iPXE/1.21.1 (slipway simulated machine)")
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP %s", res.Status)
	}
	img := &pxeImage{uri: uri, header: res.Header.Get("X-Checksum-Sha256")}
	if err := img.read(ctx, clock, rate, res.Body); err != nil {
		return nil, err
	}
	if res.ContentLength >= 0 && img.size != res.ContentLength {
		return nil, fmt.Errorf("%d of %d bytes: %w", img.size, res.ContentLength, io.ErrUnexpectedEOF)
	}
	return img, nil
}

func (img *pxeImage) read(ctx context.Context, clock Clock, rate int64, body io.Reader) error {
	var head []byte // what a script could be
	sum := sha256.New()
	buf := make([]byte, 32<<10)
	for {
		n, err := body.Read(buf)
		sum.Write(buf[:n])
		img.size += int64(n)
		if img.size > maxFile {
			return fmt.Errorf("larger than %d bytes: out of memory", int64(maxFile))
		}
		if len(head) <= maxScript {
			head = append(head, buf[:n]...)
		}
		if rate > 0 && n > 0 {
			if err := clock.Sleep(ctx, time.Duration(int64(n)*int64(time.Second)/rate)); err != nil {
				return err
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	img.sha256 = hex.EncodeToString(sum.Sum(nil))
	if isScript(head) {
		img.script = head
	}
	return nil
}
