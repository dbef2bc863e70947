package nonblock

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func pipe(t *testing.T) (read, write *os.File) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = read.Close(), write.Close() })
	return read, write
}

// sockets are the two ends of a connection over loopback.
func sockets(t *testing.T) (near, far net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	near, err = net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if far, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	return near, far
}

// plain hides the descriptor of what it reads or writes.
type plain struct{ io.ReadWriter }

func TestWritesArriveInOrderHoweverSlowTheReaderIs(t *testing.T) {
	read, write := pipe(t)
	near, far := sockets(t)
	hidden, visible := sockets(t)
	for name, ends := range map[string]struct {
		to   io.Writer
		from io.Reader
	}{
		"pipe":          {write, read},
		"socket":        {near, far},
		"no descriptor": {plain{hidden}, visible},
	} {
		t.Run(name, func(t *testing.T) {
			w := NewWriter(ends.to)
			var want []byte
			for i := range 3000 { // 12 MB: more than any kernel buffer holds
				piece := bytes.Repeat([]byte{byte(i)}, 4000)
				want = append(want, piece...)
				var err error
				if i%2 == 0 {
					_, err = w.Write(piece)
				} else {
					err = w.WriteAll([][]byte{piece[:1], nil, piece[1:]})
				}
				if err != nil {
					t.Fatal(err)
				}
				clear(piece) // the Writer keeps nothing of it
			}
			if w.Backlog() == 0 {
				t.Error("nothing waits, though nobody has read")
			}
			drained := make(chan struct{})
			if !w.AfterDrain(func() { close(drained) }) {
				t.Error("nothing is being written")
			}
			got := make([]byte, len(want))
			if _, err := io.ReadFull(ends.from, got); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Error("the bytes came in another order")
			}
			<-drained
			if w.Backlog() != 0 || w.AfterDrain(func() { t.Error("called though the backlog was empty") }) {
				t.Error("there is still a backlog")
			}
		})
	}
}

func TestWriteToAClosedPeerFails(t *testing.T) {
	read, write := pipe(t)
	_ = read.Close()
	w := NewWriter(write)
	if _, err := w.Write([]byte("x")); !errors.Is(err, os.ErrClosed) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("got %v", err)
	}
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("the second write succeeded")
	}
}

// A collector is a Sink with room for size bytes at a time.
type collector struct {
	space []byte
	all   chan []byte
	stop  error
}

func newCollector(size int) *collector {
	return &collector{space: make([]byte, size), all: make(chan []byte, 10_000)}
}

func (c *collector) Space() []byte { return c.space }

func (c *collector) Took(n int) error {
	c.all <- bytes.Clone(c.space[:n])
	return c.stop
}

func TestReadGivesAllBytesAndTheEnd(t *testing.T) {
	read, write := pipe(t)
	near, far := sockets(t)
	hidden, visible := sockets(t)
	for name, ends := range map[string]struct {
		to   io.WriteCloser
		from io.Reader
	}{
		"pipe":          {write, read},
		"socket":        {near, far},
		"no descriptor": {hidden, plain{visible}},
	} {
		t.Run(name, func(t *testing.T) {
			sink := newCollector(1000)
			result := make(chan error)
			go func() { result <- Read(ends.from, sink) }()
			want := bytes.Repeat([]byte("0123456789"), 1000)
			_, _ = ends.to.Write(want[:5])
			got := <-sink.all // so the reader waits when the rest comes
			_, _ = ends.to.Write(want[5:])
			for len(got) < len(want) {
				got = append(got, <-sink.all...)
			}
			if !bytes.Equal(got, want) {
				t.Error("other bytes came")
			}
			_ = ends.to.Close()
			if err := <-result; err != io.EOF {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestReadEndsWithItsSink(t *testing.T) {
	read, write := pipe(t)
	sink := newCollector(10)
	sink.stop = errors.New("enough")
	_, _ = write.Write([]byte("x"))
	if err := Read(read, sink); err != sink.stop {
		t.Errorf("got %v", err)
	}
}

func TestAnEndThatCameWithTheLastBytesIsFoundByADeadline(t *testing.T) {
	for range 100 {
		read, write := pipe(t)
		_, _ = write.Write([]byte("last words"))
		_ = write.Close() // before anybody waits: one event of the poller stands for both
		sink := newCollector(100)
		result := make(chan error)
		go func() { result <- Read(read, sink) }()
		<-sink.all
		_ = read.SetReadDeadline(time.Unix(1, 0))
		if err := <-result; err != io.EOF {
			t.Fatalf("got %v", err)
		}
		_ = read.Close()
	}
}

func TestADeadlineWithoutAnEndIsSaid(t *testing.T) {
	read, write := pipe(t)
	sink := newCollector(100)
	result := make(chan error)
	go func() { result <- Read(read, sink) }()
	_, _ = write.Write([]byte("a"))
	<-sink.all
	_ = read.SetReadDeadline(time.Unix(1, 0))
	if err := <-result; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestConnWritesInOnePieceWhatWasCorked(t *testing.T) {
	near, far := sockets(t)
	c := NewConn(near)
	c.Prompt()
	c.Cork()
	c.Cork()
	_, _ = c.Write([]byte("a"))
	_, _ = c.Write([]byte("b"))
	_ = c.Uncork()
	if n := waiting(t, far); n != 0 {
		t.Errorf("%d bytes were written while corked", n)
	}
	if err := c.Uncork(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 10)
	if n, err := far.Read(b); err != nil || string(b[:n]) != "ab" {
		t.Errorf("got %q, %v", b[:n], err)
	}
}

// waiting is the number of bytes that a read would give now.
func waiting(t *testing.T, on net.Conn) (n int) {
	t.Helper()
	err := descriptor(on).Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.SIOCINQ) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestUnderFindsTheConnThatAListenerAccepted(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Listen(inner)
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if c := Under(tls.Server(conn, &tls.Config{})); c == nil || c != conn {
		t.Errorf("got %v", c)
	}
	if c := Under(client); c != nil {
		t.Errorf("got %v", c)
	}
}

func TestConnReads(t *testing.T) {
	near, far := sockets(t)
	c := NewConn(near)
	c.Prompt()
	var reading sync.WaitGroup
	var got []byte
	var err error
	reading.Go(func() { got, err = io.ReadAll(c) })
	_, _ = far.Write([]byte("one"))
	_, _ = far.Write([]byte("two"))
	_ = far.Close()
	reading.Wait()
	if err != nil || string(got) != "onetwo" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("behind the end: %v", err)
	}
	_ = c.Close()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("behind Close: %v", err)
	}
}

func TestConnReadAllocatesNothing(t *testing.T) {
	near, far := sockets(t)
	c := NewConn(near)
	c.Prompt()
	b := make([]byte, 100)
	if n := testing.AllocsPerRun(100, func() {
		_, _ = far.Write(b[:1])
		_, _ = c.Read(b)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		_, _ = c.Write(b)
		_, _ = io.ReadFull(far, b)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
