package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/slipwayhq/slipway/pxe/artifact"
	"github.com/slipwayhq/slipway/pxe/program"
)

type artifactsCmd struct {
	List   artifactsListCmd   `cmd:"" default:"withargs" help:"List the catalogue and the boot programs of this host."`
	Add    artifactsAddCmd    `cmd:"" help:"Add a file of this host to its catalogue."`
	Served artifactsServedCmd `cmd:"" help:"List what a running server serves, and which nodes still need it."`
	Upload artifactsUploadCmd `cmd:"" help:"Upload a file to a running server (role admin)."`
	Remove artifactsRemoveCmd `cmd:"" help:"Remove a file from a running server, unless a node still needs it (role admin)."`
}

// artifactFlags are the settings of the catalogue.
type artifactFlags struct {
	MaxUploadGiB int64 `name:"max-upload-gib" help:"Largest file that can be uploaded, in GiB." default:"64" env:"SLIPWAY_ARTIFACT_MAX_UPLOAD_GIB"`
}

// maxUpload is in bytes.
func (f artifactFlags) maxUpload() int64 {
	if f.MaxUploadGiB <= 0 {
		f.MaxUploadGiB = 64
	}
	return f.MaxUploadGiB << 30
}

func openArtifacts(d dataFlags) (*artifact.Catalogue, error) {
	return artifact.Open(filepath.Join(d.DataDir, "artifacts"))
}

type artifactsListCmd struct {
	Data            dataFlags `embed:""`
	BootProgramsDir string    `help:"Directory with boot programs of your own." env:"SLIPWAY_BOOT_PROGRAMS_DIR" type:"path"`
}

// Run lists the catalogue and the boot programs.
func (c *artifactsListCmd) Run() error {
	catalogue, err := openArtifacts(c.Data)
	if err != nil {
		return err
	}
	defer catalogue.Close()
	list, err := catalogue.List()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tKIND\tVERSION\tBYTES\tSHA256\tSTATE")
	for _, a := range list {
		state := "ok"
		if a.Broken != "" {
			state = a.Broken
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\n", a.Name, a.Kind, a.Version, a.Size, a.SHA256, state)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	programs, err := program.Load(netbootFlags{BootProgramsDir: c.BootProgramsDir}.sources())
	if err != nil {
		return err
	}
	return listPrograms(os.Stdout, programs)
}

// listPrograms shows what firmware can load, and what is not there for it.
func listPrograms(out io.Writer, programs *program.Set) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "\nBOOT PROGRAM\tFIRMWARE\tVERSION\tBYTES\tSHA256\tFROM")
	for _, p := range programs.All() {
		version := p.Version
		if version == "" {
			version = "not known"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\n", p.Name, p.Firmware, version, p.Size, p.SHA256, p.Path)
	}
	for _, note := range programs.Notes() {
		fmt.Fprintln(w, note)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("boot programs: %w", err)
	}
	return nil
}

type artifactsAddCmd struct {
	Data    dataFlags `embed:""`
	Name    string    `arg:"" help:"Name in URLs and configurations."`
	Path    string    `arg:"" help:"The file." type:"existingfile"`
	Kind    string    `help:"What it is." enum:"kernel,initrd,hypervisor,cvm,image,installer,bootloader,other" default:"image"`
	Version string    `help:"Its version, for people." default:""`
	InPlace bool      `help:"Leave the file where it is instead of copying it."`
}

// Run registers a file.
func (c *artifactsAddCmd) Run(ctx context.Context) error {
	catalogue, err := openArtifacts(c.Data)
	if err != nil {
		return err
	}
	defer catalogue.Close()
	add := catalogue.Register
	if c.InPlace {
		add = catalogue.Reference
	}
	a, err := add(ctx, c.Name, c.Version, artifact.Kind(c.Kind), c.Path)
	if err != nil {
		return err
	}
	fmt.Printf("%s  %s  %d bytes\n", a.SHA256, a.Name, a.Size)
	return nil
}
