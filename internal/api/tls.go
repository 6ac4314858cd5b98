package api

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/folder"
)

// A TLS is the certificate of an agent and, where askers need certificates, the
// authority of theirs. Get one from [LoadTLS]. It is safe for concurrent use.
type TLS struct {
	cert, key, clientCA string
	now                 atomic.Pointer[certificates]
}

// certificates are those of one reading of the files.
type certificates struct {
	config *tls.Config
	leaf   *x509.Certificate
}

// LoadTLS reads certificate, key and, unless clientCA is "", the authorities of
// askers, all PEM. Others may neither read the key nor write to any of the files,
// which belong to root or to the caller. A certificate that has expired is refused.
func LoadTLS(cert, key, clientCA string) (*TLS, error) {
	t := &TLS{cert: cert, key: key, clientCA: clientCA}
	return t, t.Reload()
}

// Reload reads the files again, for connections from now on. With an error those of
// before count.
func (t *TLS) Reload() error {
	cert, err := readPEM(t.cert, 0o022)
	if err != nil {
		return err
	}
	key, err := readPEM(t.key, 0o027)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("certificate %s and key %s: %w", t.cert, t.key, err)
	}
	if now := time.Now(); now.After(pair.Leaf.NotAfter) {
		return whose.WithHint(fmt.Errorf("certificate %s has expired, at %s", t.cert, pair.Leaf.NotAfter.Format(time.DateTime)), "renew it")
	}
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"},
		SessionTicketsDisabled: true, // each connection shows its certificate
	}
	if t.clientCA != "" {
		text, err := readPEM(t.clientCA, 0o022)
		if err != nil {
			return err
		}
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(text) {
			return fmt.Errorf("no certificate in %s", t.clientCA)
		}
	}
	t.now.Store(&certificates{config, pair.Leaf})
	return nil
}

// config returns the configuration of a server: each connection gets that of the
// latest reading.
func (t *TLS) config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return t.now.Load().config, nil },
	}
}

// names reports whether the certificate names a host.
func (t *TLS) names(host string) bool {
	return t != nil && t.now.Load().leaf.VerifyHostname(host) == nil
}

// asksCertificates reports whether askers need certificates.
func (t *TLS) asksCertificates() bool { return t != nil && t.clientCA != "" }

// mostPEM bounds the bytes of a file of certificates.
const mostPEM = 4 << 20

// readPEM reads a file of certificates or a key.
func readPEM(path string, barred fs.FileMode) ([]byte, error) {
	return folder.ReadFile(path, barred, mostPEM)
}
