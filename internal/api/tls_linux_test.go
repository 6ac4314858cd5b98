package api

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-44df2ae6/whose/internal/agent"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// An authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := new(authority)
	about := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour), SerialNumber: big.NewInt(1),
	}
	a.cert, a.key, a.pem, _ = a.make(t, about)
	return a
}

// make makes a certificate and its key, signed by the authority or, of one that has
// none yet, by itself.
func (a *authority) make(t *testing.T, about *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey, []byte, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := about, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, about, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
}

// issue makes a certificate for a use until an end, and its key.
func (a *authority) issue(t *testing.T, serial int64, use x509.ExtKeyUsage, end time.Time) (cert, key []byte) {
	t.Helper()
	_, _, cert, key = a.make(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "agent"}, SerialNumber: big.NewInt(serial), DNSNames: []string{"agent.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: end, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{use},
	})
	return cert, key
}

// A secured agent is one behind TLS, with its files.
type secured struct {
	t            *testing.T
	ca, clientCA *authority
	files        [3]string // certificate, key, authority of askers
	tls          *TLS
	addr         string
}

func (s *secured) write(file int, text []byte) {
	s.t.Helper()
	if err := os.WriteFile(s.files[file], text, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// secure serves by TLS, with a token or none, and asks for certificates or not.
func secure(t *testing.T, token string, asks bool) *secured {
	t.Helper()
	s := &secured{t: t, ca: newAuthority(t, "agents"), clientCA: newAuthority(t, "askers")}
	dir := t.TempDir()
	for i, name := range []string{"cert.pem", "key.pem", "ca.pem"} {
		s.files[i] = filepath.Join(dir, name)
	}
	cert, key := s.ca.issue(t, 10, x509.ExtKeyUsageServerAuth, time.Now().Add(time.Hour))
	s.write(0, cert)
	s.write(1, key)
	s.write(2, s.clientCA.pem)
	ca := ""
	if asks {
		ca = s.files[2]
	}
	var err error
	if s.tls, err = LoadTLS(s.files[0], s.files[1], ca); err != nil {
		t.Fatal(err)
	}
	l, err := ListenTCP("127.0.0.1:0", true)
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	server := &Server{Table: &table{someSessions()}, Feed: agent.NewFeed(16, time.Now()), NetNS: hostNetNS, Version: "test"}
	serving := server.ServeTCP(l, Access{Token: token, TLS: s.tls})
	t.Cleanup(func() { serving.Close() })
	return s
}

// An asker is one of an agent behind TLS.
type asker struct {
	cert, key []byte // none: without a certificate
	token     string
	host      string
	most      uint16 // the newest version of TLS; 0: any
}

// ask asks for the version on a connection of its own, and returns the status and the
// serial number of the agent's certificate.
func (s *secured) ask(a asker) (status int, serial int64, err error) {
	s.t.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "agent.example", MaxVersion: a.most, MinVersion: tls.VersionTLS10}
	config.RootCAs.AddCert(s.ca.cert)
	if a.cert != nil {
		pair, err := tls.X509KeyPair(a.cert, a.key)
		if err != nil {
			s.t.Fatal(err)
		}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}, Timeout: 30 * time.Second}
	r, err := http.NewRequest(http.MethodGet, "https://"+s.addr+"/v1/version", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Host = a.host
	if r.Host == "" {
		r.Host = "agent.example"
	}
	if a.token != "" {
		r.Header.Set("Authorization", "Bearer "+a.token)
	}
	answer, err := client.Do(r)
	if err != nil {
		return 0, 0, err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, answer.TLS.PeerCertificates[0].SerialNumber.Int64(), err
}

// TestHostileTLS asks agents behind TLS with every kind of wrong certificate, token and
// host.
func TestHostileTLS(t *testing.T) {
	const token = "0123456789abcdef"
	inAnHour := time.Now().Add(time.Hour)
	byToken, byCert, byBoth := secure(t, token, false), secure(t, "", true), secure(t, token, true)
	good := func(s *secured) asker {
		cert, key := s.clientCA.issue(t, 20, x509.ExtKeyUsageClientAuth, inAnHour)
		return asker{cert: cert, key: key}
	}
	with := func(a asker, token string) asker { a.token = token; return a }
	of := func(ca *authority, use x509.ExtKeyUsage, end time.Time) asker {
		cert, key := ca.issue(t, 21, use, end)
		return asker{cert: cert, key: key}
	}
	tried, wrong := 0, 0
	for _, c := range []struct {
		what   string
		agent  *secured
		ask    asker
		status int // 0: no connection
	}{
		{"the token", byToken, asker{token: token}, 200},
		{"the token, and a certificate that nobody wants", byToken, with(good(byCert), token), 200},
		{"the token by TLS 1.2", byToken, asker{token: token, most: tls.VersionTLS12}, 200},
		{"the token by TLS 1.1", byToken, asker{token: token, most: tls.VersionTLS11}, 0},
		{"another token", byToken, asker{token: token + "0"}, 401},
		{"no token", byToken, asker{}, 401},
		{"an address of the certificate", byToken, asker{token: token, host: "127.0.0.1:443"}, 200},
		{"another host", byToken, asker{token: token, host: "evil.example"}, 403},
		{"another host that ends alike", byToken, asker{token: token, host: "evil.agent.example"}, 403},
		{"a certificate", byCert, good(byCert), 200},
		{"no certificate", byCert, asker{}, 0},
		{"no certificate, and a token", byCert, asker{token: token}, 0},
		{"a certificate of another authority", byCert, good(byToken), 0},
		{"a certificate of the agent's authority", byCert, of(byCert.ca, x509.ExtKeyUsageClientAuth, inAnHour), 0},
		{"a certificate that has expired", byCert, of(byCert.clientCA, x509.ExtKeyUsageClientAuth, time.Now().Add(-time.Hour)), 0},
		{"a certificate for servers", byCert, of(byCert.clientCA, x509.ExtKeyUsageServerAuth, inAnHour), 0},
		{"certificate and token", byBoth, with(good(byBoth), token), 200},
		{"a certificate without the token", byBoth, good(byBoth), 401},
		{"the token without a certificate", byBoth, asker{token: token}, 0},
	} {
		tried++
		status, _, err := c.agent.ask(c.ask)
		if status != c.status || (err != nil) != (c.status == 0) {
			wrong++
			t.Errorf("%s: status %d, %v; want %d", c.what, status, err, c.status)
		}
	}
	tried++
	conn, err := net.Dial("tcp", byToken.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /v1/version HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n", token)
	if text, _ := io.ReadAll(conn); !strings.HasPrefix(string(text), "HTTP/1.0 400") || strings.Contains(string(text), "test") {
		wrong++
		t.Errorf("without TLS it answers %.60q", text)
	}
	testenv.Tried(t, tried, wrong)
}

// TestTLS_Reload exchanges the files under an agent.
func TestTLS_Reload(t *testing.T) {
	s := secure(t, "", true)
	cert, key := s.clientCA.issue(t, 20, x509.ExtKeyUsageClientAuth, time.Now().Add(time.Hour))
	us := asker{cert: cert, key: key}
	want := func(what string, status int, serial int64) {
		t.Helper()
		got, by, err := s.ask(us)
		if got != status || by != serial || (err != nil) != (status == 0) {
			t.Errorf("%s: status %d by certificate %d, %v; want %d by %d", what, got, by, err, status, serial)
		}
	}
	want("at first", 200, 10)
	fresh, private := s.ca.issue(t, 11, x509.ExtKeyUsageServerAuth, time.Now().Add(time.Hour))
	s.write(0, fresh)
	want("before a reload", 200, 10)
	if err := s.tls.Reload(); err == nil || !strings.Contains(err.Error(), s.files[1]) {
		t.Errorf("a certificate with the key of another: %v", err)
	}
	want("after a reload of a half", 200, 10)
	s.write(1, private)
	if err := s.tls.Reload(); err != nil {
		t.Error(err)
	}
	want("after a reload", 200, 11)
	s.write(2, newAuthority(t, "others").pem)
	if err := s.tls.Reload(); err != nil {
		t.Error(err)
	}
	want("after a reload of another authority", 0, 0)
}

// TestHostileTLSFiles gives an agent files that it must not take.
func TestHostileTLSFiles(t *testing.T) {
	ca := newAuthority(t, "agents")
	cert, key := ca.issue(t, 10, x509.ExtKeyUsageServerAuth, time.Now().Add(time.Hour))
	old, oldKey := ca.issue(t, 11, x509.ExtKeyUsageServerAuth, time.Now().Add(-time.Hour))
	dir := t.TempDir()
	file := func(name string, mode os.FileMode, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	goodCert, goodKey, goodCA := file("cert", 0o644, cert), file("key", 0o640, key), file("ca", 0o644, ca.pem)
	if _, err := LoadTLS(goodCert, goodKey, goodCA); err != nil {
		t.Fatal(err)
	}
	tried, wrong := 0, 0
	for _, c := range []struct{ cert, key, ca, says string }{
		{goodCert, file("open", 0o644, key), "", "others may read"},
		{goodCert, file("writable", 0o620, key), "", "others may write"},
		{file("cert-writable", 0o666, cert), goodKey, "", "others may write"},
		{goodCert, goodKey, file("ca-writable", 0o622, ca.pem), "others may write"},
		{goodCert, filepath.Join(dir, "none"), "", "no such file"},
		{pipe, goodKey, "", "no plain file"},
		{goodCert, dir, "", "no plain file"},
		{"/dev/zero", goodKey, "", "no plain file"},
		{file("old", 0o644, old), file("old-key", 0o600, oldKey), "", "has expired"},
		{goodCert, file("other-key", 0o600, oldKey), "", "private key does not match"},
		{file("empty", 0o644, nil), goodKey, "", "failed to find any PEM data"},
		{goodCert, goodKey, file("no-ca", 0o644, []byte("nothing")), "no certificate in"},
		{file("large", 0o644, make([]byte, mostPEM+1)), goodKey, "", "too large"},
	} {
		tried++
		if _, err := LoadTLS(c.cert, c.key, c.ca); err == nil || !strings.Contains(err.Error(), c.says) {
			wrong++
			t.Errorf("certificate %s, key %s, authority %q: %v; want %s", c.cert, c.key, c.ca, err, c.says)
		}
	}
	if os.Geteuid() == 0 {
		tried++
		foreign := file("foreign", 0o600, key)
		if err := os.Chown(foreign, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadTLS(goodCert, foreign, ""); err == nil || !strings.Contains(err.Error(), "belongs to user 65534") {
			wrong++
			t.Errorf("a key of another user: %v", err)
		}
	}
	testenv.Tried(t, tried, wrong)
}
