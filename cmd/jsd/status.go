package main

import (
	"time"
)

// A statusReport is what /status answers: who the daemon is, and what is there at this moment. Times are ms.
type statusReport struct {
	Version     string            `json:"version"`
	Listen      string            `json:"listen"`
	Instance    string            `json:"instance"`
	Driver      string            `json:"driver"`
	Uptime      int64             `json:"uptime"`
	NotReady    string            `json:"notReady,omitempty"` // why no script could run right now
	Connections int               `json:"connections"`
	Calls       statusCalls       `json:"calls"`
	Sessions    int               `json:"sessions"`
	Counts      statusCounts      `json:"counts"`     // of containers
	Containers  []statusContainer `json:"containers"` // with the most calls first
	Tenants     []statusTenant    `json:"tenants"`    // likewise
	LeftOut     statusLeftOut     `json:"leftOut"`
}

type statusCalls struct {
	Running int    `json:"running"`
	Waiting int    `json:"waiting"`
	Ended   uint64 `json:"ended"`   // since the start
	Refused uint64 `json:"refused"` // likewise
}

type statusCounts struct {
	Starting int `json:"starting"`
	Spare    int `json:"spare"`
	Idle     int `json:"idle"`
	Busy     int `json:"busy"`
	Closing  int `json:"closing"`
	Max      int `json:"max"`
}

type statusContainer struct {
	ID       string `json:"id"`
	Class    string `json:"class,omitempty"`
	Tenant   string `json:"tenant,omitempty"`
	State    string `json:"state"`
	Running  int    `json:"running"`
	Sessions int    `json:"sessions"`
	Calls    int    `json:"calls"`
	Age      int64  `json:"age"`
}

type statusTenant struct {
	Name       string `json:"name"`
	Class      string `json:"class,omitempty"`
	Containers int    `json:"containers"`
	Running    int    `json:"running"`
	Waiting    int    `json:"waiting"`
	OldestWait int64  `json:"oldestWait"`
}

type statusLeftOut struct {
	Containers int `json:"containers"`
	Tenants    int `json:"tenants"`
}

func (d *daemon) status() statusReport {
	snap := d.scheduler.Snapshot()
	now := snap.Stats
	r := statusReport{
		Version: buildVersion(), Listen: d.listener.Addr().String(), Instance: d.config.Instance, Driver: d.driver.name,
		Uptime: time.Since(d.began).Milliseconds(), Connections: d.rpc.Connections(), Sessions: now.Sessions,
		Calls:      statusCalls{now.Running, now.Queued, now.Calls, now.Refused},
		Counts:     statusCounts{now.Starting, now.Spare, now.Idle, now.Busy, now.Closing, d.config.MaxContainers},
		Containers: make([]statusContainer, 0, len(snap.Containers)),
		Tenants:    make([]statusTenant, 0, len(snap.Tenants)),
		LeftOut:    statusLeftOut{snap.ContainersLeftOut, snap.TenantsLeftOut},
	}
	if err := d.scheduler.Ready(); err != nil {
		r.NotReady = oneLine(err)
	}
	for _, c := range snap.Containers {
		r.Containers = append(r.Containers, statusContainer{
			c.ID, c.Class, c.Tenant, string(c.State), c.Running, c.Sessions, c.Calls, c.Age.Milliseconds(),
		})
	}
	for _, t := range snap.Tenants {
		r.Tenants = append(r.Tenants, statusTenant{
			t.Name, t.Class, t.Containers, t.Running, t.Queued, t.OldestWait.Milliseconds(),
		})
	}
	return r
}
