package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/containers/docker"
	"github.com/jsd-project/jsd/daemon"
)

// serveCommand is `jsd serve`.
type serveCommand struct {
	daemon.Settings
}

// Run serves until ctx ends, then drains.
func (c *serveCommand) Run(ctx context.Context, s streams) error {
	if err := c.Resolve(os.Getenv); err != nil {
		return err
	}
	hangUps := make(chan os.Signal, 1) // a signal that comes while another one waits counts as the same
	signal.Notify(hangUps, syscall.SIGHUP)
	defer close(hangUps)
	defer signal.Stop(hangUps)
	d := daemon.New(&c.Settings, daemon.Options{Version: buildVersion(), Log: newLog(c.LogLevel)})
	if err := d.Open(ctx); err != nil {
		return err
	}
	c.announce(s.out, d)
	go func() {
		for range hangUps {
			d.Reload()
		}
	}()
	err := d.Wait(ctx)
	closeErr := d.Close()
	if errors.Is(closeErr, docker.ErrLeft) {
		closeErr = fmt.Errorf("%w\nthe next start with --instance %s removes what is left", closeErr, d.Instance())
	}
	return errors.Join(err, closeErr)
}

// announce prints what a person at a terminal wants to know.
func (c *serveCommand) announce(w io.Writer, d *daemon.Daemon) {
	address := d.Addr().String()
	if tcp := d.Addr().(*net.TCPAddr); tcp.IP.IsUnspecified() {
		address = net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
	}
	fmt.Fprintf(w, "jsd %s serves %s://%s with the %s driver\n", buildVersion(), c.scheme("ws"), address, d.Driver())
	if admin := d.AdminAddr(); admin != nil {
		fmt.Fprintf(w, "metrics, status and profiles on http://%s\n", admin)
	}
	if d.Driver() == "process" {
		fmt.Fprintln(w, "The process driver isolates nothing: for development only.")
	}
	fmt.Fprintf(w, "try: curl -s%s %s://%s/rpc -d '%s'\n", c.curl(), c.scheme("http"), address,
		`{"jsonrpc":"2.0","id":1,"method":"runtime.execute","params":{"code":"6 * 7"}}`)
}

// scheme is http or ws, as clients of this daemon have to write it.
func (c *serveCommand) scheme(plain string) string {
	if c.TLSCert != "" {
		return plain + "s"
	}
	return plain
}

// curl is what a person at a terminal adds to a command, so as to be let in.
func (c *serveCommand) curl() string {
	switch {
	case c.Secret != "" || c.SecretFile != "":
		return ` -H "x-runtime-secret: $SECRET"`
	case c.HasCredential():
		return ` -H "Authorization: Bearer $TOKEN"`
	default:
		return ""
	}
}

// newLog writes to stderr: JSON for machines, columns for a terminal.
func newLog(level string) zerolog.Logger {
	if level == "off" {
		return zerolog.Nop()
	}
	parsed, err := zerolog.ParseLevel(level)
	if err != nil {
		parsed = zerolog.InfoLevel // kong lets no other through
	}
	var w io.Writer = os.Stderr
	if info, err := os.Stderr.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		w = zerolog.ConsoleWriter{Out: os.Stderr, TimeFormat: time.TimeOnly}
	}
	return zerolog.New(w).Level(parsed).With().Timestamp().Logger()
}
