package credentials

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/rs/zerolog"
	"golang.org/x/time/rate"

	"github.com/jsd-project/jsd/loopback"
)

const (
	refreshEvery = 5 * time.Minute  // between fetches; a key that is not published any more is accepted for as long
	retryEvery   = 10 * time.Second // between fetches after a failure, and between fetches for unknown keys
	askedAtOnce  = 3                // fetches for unknown keys that need not wait for retryEvery
	fetchTime    = 5 * time.Second  // for an answer
	maxWaiting   = 100              // requests that wait for a fetch
	maxSet       = 1 << 20          // bytes
	maxRedirects = 3
)

// A remote has the keys that a URL publishes. It keeps the last good set for as long as the URL does not answer.
//
//	timer, poke, ask ─► loop ─► fetch ─► current
//	              ▲                 │
//	              └── ask waits for the end of the round
type remote struct {
	url     *url.URL
	client  *http.Client
	log     zerolog.Logger
	current atomic.Pointer[keySet]
	unknown *rate.Limiter // of fetches for unknown keys
	every   time.Duration
	retry   time.Duration

	wake chan struct{} // holds an element when the loop has to begin a round
	stop context.CancelFunc
	done chan struct{} // closed when the loop has ended

	mu      sync.Mutex    // guards all below
	round   chan struct{} // closed at the end of the fetch that runs or has been asked for; nil: there is none
	waiting int           // requests that wait for the round
	failing bool
}

func newRemote(address string, log zerolog.Logger) (*remote, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Fragment != "":
		return nil, errors.New("the URL of the keys has to be one like https://example.com/.well-known/jwks.json")
	case u.Scheme != "https" && !(u.Scheme == "http" && loopback.Is(u.Hostname())):
		return nil, fmt.Errorf("the URL of the keys, at %s, has to begin with https: who can change what it answers can let anybody in", u.Host)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true // the next request comes minutes later
	return &remote{
		url: u, log: log.With().Str("host", u.Host).Logger(),
		client:  &http.Client{Transport: transport, CheckRedirect: checkRedirect},
		unknown: rate.NewLimiter(rate.Every(retryEvery), askedAtOnce),
		every:   refreshEvery, retry: retryEvery,
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}, nil
}

// checkRedirect refuses a redirect to a connection that others could read or change.
func checkRedirect(to *http.Request, via []*http.Request) error {
	switch {
	case len(via) > maxRedirects:
		return errors.New("too many redirects")
	case via[0].URL.Scheme == "https" && to.URL.Scheme != "https":
		return errors.New("it redirects away from https")
	case to.URL.Scheme != "https" && !loopback.Is(to.URL.Hostname()):
		return errors.New("it redirects away from this machine")
	}
	return nil
}

// open fetches the keys for the first time, and starts the loop, which runs until close.
func (r *remote) open(ctx context.Context) {
	r.fetch(ctx)
	running, stop := context.WithCancel(context.Background())
	r.stop = stop
	go r.loop(running)
}

func (r *remote) close() {
	r.stop()
	<-r.done
}

// set returns the last good set. It is nil before the first one.
func (r *remote) set() *keySet { return r.current.Load() }

// knows reports whether one of the keys has this id.
func (r *remote) knows(algorithm jwa.SignatureAlgorithm, id string) bool {
	set := r.set()
	return id != "" && set != nil && slices.ContainsFunc(*set, func(k key) bool { return k.id == id && k.algorithm == algorithm })
}

func (r *remote) loop(ctx context.Context) {
	defer close(r.done)
	for {
		timer := time.NewTimer(r.pause())
		select {
		case <-ctx.Done():
			timer.Stop()
			r.endRound()
			return
		case <-r.wake:
		case <-timer.C:
		}
		timer.Stop()
		r.beginRound()
		r.fetch(ctx)
		r.endRound()
	}
}

// beginRound makes requests that ask from now on wait for the fetch that begins.
func (r *remote) beginRound() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.round == nil {
		r.round = make(chan struct{})
	}
}

func (r *remote) pause() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failing {
		return r.retry
	}
	return r.every
}

func (r *remote) endRound() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.round != nil {
		close(r.round)
		r.round = nil
	}
}

// poke asks the loop to fetch the keys.
func (r *remote) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// ask fetches the keys because one is unknown, and waits for the end of the fetch. It returns false at once if there
// were too many such fetches lately, or if too many requests wait.
func (r *remote) ask(ctx context.Context) bool {
	round, ok := r.join()
	if !ok {
		return false
	}
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.waiting--
	}()
	select {
	case <-round:
		return true
	case <-ctx.Done():
	case <-r.done:
	}
	return false
}

func (r *remote) join() (round <-chan struct{}, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting >= maxWaiting {
		return nil, false
	}
	if r.round == nil {
		if !r.unknown.Allow() {
			return nil, false
		}
		r.round = make(chan struct{})
		r.poke()
	}
	r.waiting++
	return r.round, true
}

// fetch replaces the current set by the published one, if that is good.
func (r *remote) fetch(ctx context.Context) {
	set, leftOut, err := r.get(ctx)
	if err == nil && len(set) == 0 {
		err = errors.New("there is no key in it that tokens could be checked with")
	}
	if ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	failed := r.failing
	r.failing = err != nil
	r.mu.Unlock()
	if err != nil {
		r.logFailure(err, failed)
		return
	}
	if failed || r.current.Load() == nil {
		r.log.Info().Int("keys", len(set)).Int("others", leftOut).Msg("fetched the keys of tokens")
	}
	r.current.Store(&set)
}

// logFailure logs a failed fetch: as a warning the first time, and for debugging if the one before had failed, too.
func (r *remote) logFailure(err error, again bool) {
	event := r.log.Debug()
	if !again {
		event = r.log.Warn()
	}
	if r.current.Load() == nil {
		event.Err(err).Msg("the keys of tokens cannot be fetched: no token is taken until they are")
	} else {
		event.Err(err).Msg("the keys of tokens cannot be fetched: those from before go on to hold")
	}
}

func (r *remote) get(ctx context.Context) (keySet, int, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url.String(), nil)
	if err != nil {
		return nil, 0, err
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := r.client.Do(request)
	if err != nil {
		return nil, 0, withoutURL(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("the answer is %d", response.StatusCode)
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, maxSet+1))
	switch {
	case err != nil:
		return nil, 0, withoutURL(err)
	case len(content) > maxSet:
		return nil, 0, fmt.Errorf("the answer is larger than %d bytes", maxSet)
	}
	return parsePublished(content)
}

// withoutURL returns the error without the URL, which may contain a password.
func withoutURL(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("no answer within %s", fetchTime)
	}
	return err
}
