package daemon

import (
	"strings"
	"time"
)

// A Status is what /status answers: who the daemon is, and what is there at this moment. Times are ms.
type Status struct {
	Version     string            `json:"version"`
	Listen      string            `json:"listen"`
	Instance    string            `json:"instance"`
	Driver      string            `json:"driver"`
	Uptime      int64             `json:"uptime"`
	NotReady    string            `json:"notReady,omitempty"` // why no script could run right now
	Connections int               `json:"connections"`
	Calls       StatusCalls       `json:"calls"`
	Sessions    int               `json:"sessions"`
	Counts      StatusCounts      `json:"counts"`     // of containers
	Containers  []StatusContainer `json:"containers"` // with the most calls first
	Tenants     []StatusTenant    `json:"tenants"`    // likewise
	LeftOut     StatusLeftOut     `json:"leftOut"`
}

type StatusCalls struct {
	Running int    `json:"running"`
	Waiting int    `json:"waiting"`
	Ended   uint64 `json:"ended"`   // since the start
	Refused uint64 `json:"refused"` // likewise
}

type StatusCounts struct {
	Starting int `json:"starting"`
	Spare    int `json:"spare"`
	Idle     int `json:"idle"`
	Busy     int `json:"busy"`
	Closing  int `json:"closing"`
	Max      int `json:"max"`
}

type StatusContainer struct {
	ID       string `json:"id"`
	Profile  string `json:"profile,omitempty"`
	Tenant   string `json:"tenant,omitempty"`
	State    string `json:"state"`
	Running  int    `json:"running"`
	Sessions int    `json:"sessions"`
	Calls    int    `json:"calls"`
	Age      int64  `json:"age"`
}

type StatusTenant struct {
	Name       string `json:"name"`
	Profile    string `json:"profile,omitempty"`
	Containers int    `json:"containers"`
	Running    int    `json:"running"`
	Waiting    int    `json:"waiting"`
	OldestWait int64  `json:"oldestWait"`
}

type StatusLeftOut struct {
	Containers int `json:"containers"`
	Tenants    int `json:"tenants"`
}

// Status is what there is at this moment.
func (d *Daemon) Status() Status {
	snap := d.scheduler.Snapshot()
	now := snap.Stats
	r := Status{
		Version: d.version, Listen: d.listener.Addr().String(), Instance: d.settings.Instance, Driver: d.driver.name,
		Uptime: time.Since(d.began).Milliseconds(), Connections: d.rpc.Connections(), Sessions: now.Sessions,
		Calls:      StatusCalls{now.Running, now.Queued, now.Calls, now.Refused},
		Counts:     StatusCounts{now.Starting, now.Spare, now.Idle, now.Busy, now.Closing, d.settings.MaxContainers},
		Containers: make([]StatusContainer, 0, len(snap.Containers)),
		Tenants:    make([]StatusTenant, 0, len(snap.Tenants)),
		LeftOut:    StatusLeftOut{snap.ContainersLeftOut, snap.TenantsLeftOut},
	}
	if err := d.scheduler.Ready(); err != nil {
		r.NotReady = strings.Join(strings.Fields(err.Error()), " ")
	}
	for _, c := range snap.Containers {
		r.Containers = append(r.Containers, StatusContainer{
			c.ID, c.Profile, c.Tenant, string(c.State), c.Running, c.Sessions, c.Calls, c.Age.Milliseconds(),
		})
	}
	for _, t := range snap.Tenants {
		r.Tenants = append(r.Tenants, StatusTenant{
			t.Name, t.Profile, t.Containers, t.Running, t.Queued, t.OldestWait.Milliseconds(),
		})
	}
	return r
}
