package attack

import (
	"testing"

	"github.com/jsd-project/jsd/jsdtest"
)

func TestMain(m *testing.M) { jsdtest.Main(m, 4) }

// all are the tables, those that take longest first.
func all() []theme {
	return []theme{bombsTheme(), agentTheme(), linkTheme(), hostsTheme(), kernelTheme(), memoryTheme(), endlessTheme(), workerTheme(), realmTheme(), publishedTheme(), poisonTheme(), modulesTheme(), networkTheme(), tenantsTheme()}
}

func TestAttacks(t *testing.T) {
	e := needEngine(t)
	settings := settingsOfTheMachine()
	themes := all()
	t.Run("runtimes", func(t *testing.T) {
		for _, runtime := range []string{"runc", gVisor} {
			t.Run(runtime, func(t *testing.T) {
				t.Parallel()
				s := besiege(t, e, runtime, themes)
				t.Run("attacks", func(t *testing.T) {
					for _, theme := range themes {
						t.Run(theme.name, func(t *testing.T) {
							t.Parallel()
							if theme.breached { // so that calls have the same numbers in each container: this one is the first
								s.cleanly(t, theme)
							}
							for _, attack := range theme.attacks {
								t.Run(attack.name, func(t *testing.T) { s.run(t, theme, attack) })
							}
						})
					}
				})
				s.end(t, themes)
			})
		}
	})
	judgeMachine(t, e, settings)
}
