package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/slipwayhq/slipway/client"
)

type artifactsServedCmd struct {
	serverFlags `embed:""`
}

// Run lists the catalogue of a running server.
func (c *artifactsServedCmd) Run(ctx context.Context) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	list, err := api.Artifacts(ctx)
	if err != nil {
		return err
	}
	return printArtifacts(os.Stdout, list)
}

func printArtifacts(out io.Writer, list []client.Artifact) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tKIND\tVERSION\tBYTES\tSHA256\tSTATE\tIN USE BY")
	for _, a := range list {
		state, used := a.State, "-"
		if a.Problem != nil {
			state += ": " + oneLine(*a.Problem)
		}
		if n := len(a.InUseBy); n > 3 {
			used = fmt.Sprintf("%s and %d more", strings.Join(a.InUseBy[:3], ", "), n-3)
		} else if n > 0 {
			used = strings.Join(a.InUseBy, ", ")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", a.Name, oneLine(a.Kind), oneLine(a.Version), a.Size, a.SHA256, state, used)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("artifacts: %w", err)
	}
	return nil
}

type artifactsUploadCmd struct {
	serverFlags `embed:""`
	Name        string `arg:"" help:"Name in URLs and configurations."`
	Path        string `arg:"" help:"The file." type:"existingfile"`
	Kind        string `help:"What it is." enum:"kernel,initrd,hypervisor,cvm,image,installer,bootloader,other" default:"image"`
	Version     string `help:"Its version, for people." default:""`
}

// Run uploads a file. It is read twice: the server is told first what it must
// receive, and has nothing to receive when it has that already.
func (c *artifactsUploadCmd) Run(ctx context.Context) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	f, err := os.Open(c.Path)
	if err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	size, err := io.Copy(h, f)
	if err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	a, err := api.UploadArtifact(ctx, client.Upload{Name: c.Name, Kind: c.Kind, Version: c.Version, SHA256: hex.EncodeToString(h.Sum(nil)), Size: size}, f)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	fmt.Printf("%s  %s  %d bytes\n", a.SHA256, a.Name, a.Size)
	return nil
}

type artifactsRemoveCmd struct {
	serverFlags `embed:""`
	Name        string `arg:"" help:"Of the catalogue."`
}

// Run removes a file.
func (c *artifactsRemoveCmd) Run(ctx context.Context) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	if err := api.RemoveArtifact(ctx, c.Name); err != nil {
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	fmt.Println("removed", c.Name)
	return nil
}
