package rpc

import "time"

// An Identity is who a connection, or a POST, comes from.
type Identity struct {
	Tenant  string    // whose all its requests are; empty: they may name any
	Expires time.Time // no call is taken from then on; zero: never
}

func (i *Identity) expired() bool { return !i.Expires.IsZero() && !time.Now().Before(i.Expires) }

// judge says no to what comes after the credential's end, unless it does no more than end a call.
func (c *client) judge(m *method) error {
	if c.identity.expired() && !m.ends {
		return errExpired
	}
	return nil
}

// mayName judges the tenant that a request names; nil: none.
func (c *client) mayName(tenant *tenantName) error {
	if own := c.identity.Tenant; own != "" && tenant != nil && string(*tenant) != own {
		return forbidden("tenant")
	}
	return nil
}

// tenantOf is whose a request is: the credential's, whatever else has been judged, else the one it names.
func (c *client) tenantOf(named *tenantName) string {
	switch {
	case c.identity.Tenant != "":
		return c.identity.Tenant
	case named != nil:
		return string(*named)
	default:
		return defaultTenant
	}
}
