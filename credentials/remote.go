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
	refreshEvery = 5 * time.Minute  // so long a key goes on to be taken that is not published any more
	retryEvery   = 10 * time.Second // after a failure, and for keys that are not known
	askedAtOnce  = 3                // for keys that are not known, before it has to be waited in between
	fetchTime    = 5 * time.Second  // for an answer
	maxWaiting   = 100              // requests that wait for one
	maxSet       = 1 << 20          // bytes
	maxRedirects = 3
)

// A remote is the keys that a URL publishes. The last good ones stay, however long it is away.
//
//	time, poke, ask ─► loop ─► fetch ─► current
//	             ▲                 │
//	             └── those who ask wait for the round
type remote struct {
	url     *url.URL
	client  *http.Client
	log     zerolog.Logger
	current atomic.Pointer[keySet]
	unknown *rate.Limiter // how often it is asked for keys that are not known
	every   time.Duration
	retry   time.Duration

	wake chan struct{} // has one element when the loop is to begin a round
	stop context.CancelFunc
	done chan struct{} // closed when the loop has ended

	mu      sync.Mutex    // guards all below
	round   chan struct{} // closed when the fetch that is wanted, or under way, has ended; nil: there is none
	waiting int
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
	transport.DisableKeepAlives = true // minutes lie in between
	return &remote{
		url: u, log: log.With().Str("host", u.Host).Logger(),
		client:  &http.Client{Transport: transport, CheckRedirect: noWayDown},
		unknown: rate.NewLimiter(rate.Every(retryEvery), askedAtOnce),
		every:   refreshEvery, retry: retryEvery,
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}, nil
}

// noWayDown follows no redirect to where others could listen in.
func noWayDown(to *http.Request, via []*http.Request) error {
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

// open fetches for the first time, and goes on in the background until close.
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

// set is nil before the first good answer.
func (r *remote) set() *keySet { return r.current.Load() }

// knows tells whether one of the keys has this very name.
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

// beginRound lets those who ask from now on wait for the fetch that begins.
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

// poke has the keys fetched soon.
func (r *remote) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// ask has the keys fetched because one is not known, and waits for it. Where that has been so often, or is what
// too many wait for, it says no at once.
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

// fetch takes what is published now, if it is any good.
func (r *remote) fetch(ctx context.Context) {
	set, leftOut, err := r.get(ctx)
	if err == nil && len(set) == 0 {
		err = errors.New("there is no key in it that tokens could be checked with")
	}
	if ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	was := r.failing
	r.failing = err != nil
	r.mu.Unlock()
	if err != nil {
		r.complain(err, was)
		return
	}
	if was || r.current.Load() == nil {
		r.log.Info().Int("keys", len(set)).Int("others", leftOut).Msg("fetched the keys of tokens")
	}
	r.current.Store(&set)
}

// complain is loud about the first failure only.
func (r *remote) complain(err error, again bool) {
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
		return nil, 0, urlless(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("the answer is %d", response.StatusCode)
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, maxSet+1))
	switch {
	case err != nil:
		return nil, 0, urlless(err)
	case len(content) > maxSet:
		return nil, 0, fmt.Errorf("the answer is larger than %d bytes", maxSet)
	}
	return parsePublished(content)
}

// urlless is the error without the URL, which may have a password in it.
func urlless(err error) error {
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
