# One verb a target. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo lab lab-down site verify test lint unit modules oracle netns roles long releases console proxies screenshots rootfs kernel datapath arp molecule scenarios collection bench release-check clean

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONDONTWRITEBYTECODE := 1
# What Molecule remembers of a lab that is not there any more would keep it from making one.
forget = @for scenario in $(1); do molecule reset -s $$scenario >/dev/null 2>&1; done
step = @printf '\n==> %s\n' "$@: $(1)"

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

demo: lab ## From nothing to a live stream that plays through a real IPVS direct-routing pair
	$(call step,deploy and verify)
	ansible-playbook site.yml
	$(call step,play)
	ansible-playbook playbooks/demo.yml

lab: ## Start the lab on this machine (installs what is missing)
	@tools/bootstrap python lab
	$(call step,directors under QEMU and the rest as containers)
	ansible-playbook playbooks/lab.yml

lab-down: ## End the lab; the cached root file systems stay
	@tools/bootstrap python
	ansible-playbook playbooks/lab.yml -e lab_state=absent

site: ## Roll out to the lab
	ansible-playbook site.yml

verify: ## Prove on the wire that the lab works
	ansible-playbook playbooks/verify.yml

test: ## All tiers but the scenarios, within an hour, with what each took
	@rm -f build/tiers
	@tools/bootstrap dev newest
	@tools/tiers lint unit -- modules rootfs
	@tools/bootstrap lab netns oracle console proxies
	@tools/tiers kernel datapath -- netns collection releases console oracle proxies
	@tools/tiers roles -- molecule
	@printf '\n==> all tests passed\n'; cat build/tiers

lint: ## ansible-lint, ruff, mypy, yamllint, changelog, words, documentation, messages of commits
	@tools/bootstrap dev
	$(call step,ruff)
	ruff check .
	ruff format --check .
	$(call step,types)
	tools/types
	$(call step,yamllint)
	yamllint -s .
	$(call step,ansible-lint)
	ansible-lint --offline --profile production
	$(call step,changelog)
	antsibull-changelog lint
	$(call step,words)
	tools/words
	$(call step,documentation)
	.venv/bin/python -m pytest -q tests/unit/test_docs.py tests/unit/test_messages.py
	$(call step,messages of commits)
	tools/commits

unit: ## Tests that need nothing
	@tools/bootstrap dev newest
	$(call step,ansible-core 2.19)
	.venv/bin/python -m pytest -q tests/unit
	$(call step,ansible-core 2.21)
	@if [ -x .venv-newest/bin/python ]; then .venv-newest/bin/python -m pytest -q tests/unit; else echo 'left out: no Python 3.12 or later was found'; fi
	$(call step,ansible-core 2.20 and what touches it)
	@if [ -x .venv-middle/bin/python ]; then .venv-middle/bin/python -m pytest -q tests/unit/test_*.py; else echo 'left out: no Python 3.12 or later was found'; fi

modules: ## Modules against the in-memory kernel
	@tools/bootstrap dev newest
	$(call step,ansible-core 2.19)
	.venv/bin/python -m pytest -q tests/modules
	$(call step,ansible-core 2.21)
	@if [ -x .venv-newest/bin/python ]; then .venv-newest/bin/python -m pytest -q tests/modules --ignore=tests/modules/test_hostile.py; else echo 'left out: no Python 3.12 or later was found'; fi

oracle: ## Real players play the corpus, and do as tests/corpus/played.json says; RECORD=1 writes it again
	@tools/bootstrap dev oracle
	$(call step,ffmpeg and hls.js and dash.js)
	.venv/bin/python tests/oracle/run.py $(if $(RECORD),--record)

proxies: ## HAProxy of both releases with what is rendered for it, changed while viewers watch (root)
	@tools/bootstrap dev lab proxies
	ansible-playbook playbooks/lab.yml --tags rootfs
	$(call step,HAProxy 2.6 and 3.0)
	.venv/bin/python -m pytest -q tests/proxies

console: ## The console in a real browser, attacked, behind a proxy, and read by Prometheus (root)
	@tools/bootstrap dev oracle console
	$(call step,pages and attacks and metrics)
	.venv/bin/python -m pytest -q tests/console

screenshots: ## The pictures of docs/console.md, from the lab as `make demo` leaves it
	@tools/bootstrap dev lab console
	.venv/bin/python tools/screenshots

netns: ## ARP on real links, in network namespaces (root)
	@tools/bootstrap dev netns
	$(call step,network namespaces)
	.venv/bin/python -m pytest -q tests/netns

roles: ## Roles and playbooks on namespaces, also runs that end in the middle (root)
	@tools/bootstrap dev netns proxies
	$(call step,roles and playbooks)
	.venv/bin/python -m pytest -q tests/roles -m 'not long'

long: ## What `make roles` leaves out: runs that end after each of their steps (root)
	@tools/bootstrap dev netns proxies
	$(call step,roles and playbooks that end after each step)
	.venv/bin/python -m pytest -q tests/roles -m long

releases: ## Rendered files against keepalived, nftables and systemd of Debian 12 and 13 (root)
	@tools/bootstrap dev lab netns
	ansible-playbook playbooks/lab.yml --tags rootfs
	$(call step,keepalived and nftables of both releases)
	.venv/bin/python -m pytest -q tests/releases

rootfs: ## The lab's root file systems, which several tiers start from (root)
	@tools/bootstrap python lab
	ansible-playbook playbooks/lab.yml --tags rootfs

kernel: ## ipvs_table against a real IPVS kernel in a guest of its own (root)
	@tools/bootstrap python lab
	$(call step,a guest with IPVS)
	tests/kernel/run

datapath: ## Every scheduler and every event with real packets, in a guest of its own (root)
	@tools/bootstrap python lab
	$(call step,directors and servers and router and viewers in one guest with IPVS)
	tests/kernel/run datapath

arp: ## Whole machines: a fleet that is broken in six ways, and reboots under three network managers (root)
	@tools/bootstrap dev newest lab
	molecule destroy --no-command-borders -s default
	$(call forget,arp)
	$(call step,scenario arp: a fleet that is broken in six ways; reboots under three network managers)
	molecule test --no-command-borders --destroy=never -s arp
	molecule destroy --no-command-borders -s default

molecule: ## The full topology: create, converge, verify, and the commands of the README (root)
	@tools/bootstrap dev newest lab
	molecule destroy --no-command-borders -s default
	$(call forget,default)
	$(call step,scenario default: what a viewer and the wire see of a rollout)
	PYTEST_ADDOPTS="-m 'not long'" molecule test --no-command-borders --destroy=never -s default
	molecule destroy --no-command-borders -s default

scenarios: ## What takes more than an hour more: long runs, and on the same lab a broken fleet, modes, operations, proxies, faults (root)
	@$(MAKE) --no-print-directory long
	@$(MAKE) --no-print-directory arp
	@tools/bootstrap dev newest lab
	molecule destroy --no-command-borders -s default
	$(call forget,default modes fleet proxy ha)
	$(call step,scenario default: a pair that changes while it serves and becomes a proxy)
	PYTEST_ADDOPTS="-m long" molecule test --no-command-borders --destroy=never -s default
	$(call step,scenario modes: one service of each mode, deployed from an installed collection)
	molecule test --no-command-borders --destroy=never -s modes
	$(call step,scenario fleet: spares and a server that leaves and joins and upgrades while viewers watch)
	molecule test --no-command-borders --destroy=never -s fleet
	$(call step,scenario proxy: two streaming servers become proxies with TLS)
	molecule test --no-command-borders --destroy=never -s proxy
	$(call step,scenario ha: what fails and who notices)
	molecule test --no-command-borders --destroy=never -s ha
	molecule destroy --no-command-borders -s default

collection: ## Build the collection lvsdr.streaming, install it where nothing else is, and run Ansible's own checks on it
	@tools/bootstrap dev
	@tools/collection prove

bench: ## What rollouts, modules, the stream checker and directors cost, as ratios (root)
	@tools/bootstrap dev lab netns console proxies
	$(call step,20 VIPs that are there already)
	.venv/bin/python tests/netns/bench.py
	$(call step,rollouts with 10 and 100 and 500 real servers)
	.venv/bin/python tests/scale/bench.py
	$(call step,300 checks of streams)
	.venv/bin/python tests/modules/bench_streamcheck.py
	$(call step,the console of 300 servers)
	.venv/bin/python tests/console/bench.py
	$(call step,a proxy with and without TLS)
	.venv/bin/python tests/proxies/bench.py
	$(call step,a guest with IPVS)
	tests/kernel/run bench
	$(call step,a director in each mode and HAProxy)
	tests/kernel/run bench-modes
	$(call step,direct routing and NAT and proxies of one and two tiers with TLS and a WAF)
	tests/kernel/run bench-proxies
	$(call step,a director changes: for how long newcomers wait)
	tests/kernel/run bench-failover

release-check: ## Whether this commit can be tagged: version, changelog, support matrix
	@tools/bootstrap dev
	tools/collection build
	$(call step,version and changelog and matrix)
	.venv/bin/python tools/release-check

clean: lab-down ## End the lab and remove what was built here
	rm -rf build .venv .venv-middle .venv-newest
