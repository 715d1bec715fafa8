package command

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/document"
)

func newCA(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ca",
		Short: "Make the certificates by which the hosts of several machines know each other",
		Long:  "Make the certificates by which the hosts of several machines know each other: docs/machines.md.",
		Args:  noCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCAInit(p), newCAIssue(p), newCAShow(p))
	return cmd
}

func newCAInit(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "init FOLDER",
		Short: "Make the CA of a new fleet",
		Long: "Make the CA of a new fleet, valid for ten years: ca.pem, which every host has too, and ca.key, by which anybody can become\n" +
			"a host of the fleet. The folder is made if it is not there. A CA that is there is not replaced.",
		Example: "  host ca init ~/trellis-ca",
		Args:    withArgs(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			if _, err := fleet.NewCA(args[0]); err != nil {
				return err
			}
			_, err := fmt.Fprintf(p.stdout, "%s has the CA of a new fleet; keep its ca.key safe\n", args[0])
			return err
		},
	}
}

func newCAIssue(p *program) *cobra.Command {
	var ca, folder string
	var days int
	cmd := &cobra.Command{
		Use:   "issue HOST",
		Short: "Make a key and a certificate for a host",
		Long: "Make a key and a certificate for a host, 1 to 63 of a-z, 0-9, - and a dot, and write them with the CA's certificate into a\n" +
			"folder, which is to be copied to that machine: for fleet.credentials, or --credentials. What is in the folder already is\n" +
			"replaced, and a host that runs uses it from its next connection on.",
		Example: "  host ca issue --ca ~/trellis-ca -o ./b b",
		Args:    withArgs(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			if ca == "" {
				return &usageError{errors.New("--ca: expected the folder of the CA; host ca init makes one")}
			}
			if days < 1 || days > 3650 {
				return &usageError{fmt.Errorf("--days: expected 1 to 3650, got %d", days)}
			}
			if err := fleet.CheckName(args[0]); err != nil {
				return &usageError{err}
			}
			issuer, err := fleet.OpenCA(ca)
			if errors.Is(err, fs.ErrNotExist) {
				return &usageError{fmt.Errorf("--ca: %s is not the folder of a CA: %w; host ca init makes one", ca, err)}
			}
			if err != nil {
				return err
			}
			if folder == "" {
				folder = args[0]
			}
			if err := issuer.Issue(args[0], folder, time.Duration(days)*24*time.Hour); err != nil {
				return err
			}
			_, err = fmt.Fprintf(p.stdout, "%s has the certificate of the host %s, valid for %s\n", folder, args[0], plural(days, "day"))
			return err
		},
	}
	cmd.Flags().StringVar(&ca, "ca", "", "the folder of the CA (required)")
	cmd.Flags().StringVarP(&folder, "output", "o", "", "the folder for the host; of its name if not given")
	cmd.Flags().IntVar(&days, "days", int(fleet.DefaultLifetime/(24*time.Hour)), "how long the certificate is valid")
	return cmd
}

// shownCredentials is the document of host ca show.
type shownCredentials struct {
	Version      int                `json:"version"`
	Certificates []shownCertificate `json:"certificates"`
	Problem      string             `json:"problem,omitempty"` // why a host cannot use the folder
}

type shownCertificate struct {
	File   string    `json:"file"`
	Name   string    `json:"name"`
	From   time.Time `json:"from"`
	Until  time.Time `json:"until"`
	SHA256 string    `json:"sha256"` // of the certificate
}

func newCAShow(p *program) *cobra.Command {
	return p.outputFlag(&cobra.Command{
		Use:   "show FOLDER",
		Short: "Show the certificates in a folder, and whether a host can use them",
		Long:  "Show the certificates in the folder of a CA or of a host: whose they are and until when. It fails if a host could not use them.",
		Args:  withArgs(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			shown := &shownCredentials{Version: document.Version}
			problem := shown.read(args[0])
			if problem != nil {
				shown.Problem = problem.Error()
			}
			if err := p.showCertificates(shown); err != nil {
				return err
			}
			return problem
		},
	})
}

// read fills the document, and gives what keeps a host, or a CA, from using the folder.
func (s *shownCredentials) read(folder string) error {
	for _, name := range []string{"ca.pem", "host.pem"} {
		text, err := os.ReadFile(filepath.Join(folder, name)) //nolint:gosec // the user names the folder
		if errors.Is(err, fs.ErrNotExist) && name == "host.pem" {
			_, err := fleet.OpenCA(folder)
			return err
		}
		if err != nil {
			return err
		}
		for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return fmt.Errorf("%s: %w", filepath.Join(folder, name), err)
			}
			sum := sha256.Sum256(cert.Raw)
			s.Certificates = append(s.Certificates, shownCertificate{File: name, Name: cert.Subject.CommonName, From: cert.NotBefore, Until: cert.NotAfter, SHA256: hex.EncodeToString(sum[:])})
		}
	}
	_, err := fleet.LoadCredentials(folder)
	return err
}

func (p *program) showCertificates(s *shownCredentials) error {
	if p.output == "json" {
		return p.printJSON(s)
	}
	tab := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(tab, "FILE\tNAME\tUNTIL\tSHA256") // Flush reports it
	for _, c := range s.Certificates {
		_, _ = fmt.Fprintf(tab, "%s\t%s\t%s\t%.16s…\n", c.File, c.Name, c.Until.Format(time.DateTime), c.SHA256)
	}
	return tab.Flush()
}

// beside is a folder that a config file names, which is relative to that of the file; "" if it names none.
func (p *program) beside(folder string) string {
	if folder == "" || filepath.IsAbs(folder) {
		return folder
	}
	return filepath.Join(filepath.Dir(p.settings.GetString("config")), folder)
}

// fleetOf is what a config file says of other machines. A folder is relative to that of the file.
func (p *program) fleetOf(tree *config.Tree) (*host.Fleet, error) {
	f := tree.Fleet
	if f.Credentials == "" {
		return &host.Fleet{Tree: tree.Name, Lease: time.Duration(f.Lease)}, nil // agents on this machine
	}
	folder := p.beside(f.Credentials)
	credentials, err := fleet.LoadCredentials(folder)
	if err != nil {
		return nil, &usageError{fmt.Errorf("fleet.credentials: %w", err)}
	}
	if f.Host != "" && f.Host != credentials.Host() {
		return nil, &usageError{fmt.Errorf("fleet.host: the certificate in %s is that of the host %s, expected %s", folder, credentials.Host(), f.Host)}
	}
	return &host.Fleet{Credentials: credentials, Listen: f.Listen, Advertise: f.Advertise, Agents: f.Agents, Tree: tree.Name, Lease: time.Duration(f.Lease)}, nil
}
