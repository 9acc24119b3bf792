# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""lvsdr-console: what a pair of directors does, for people and for Prometheus, and the little that can't wait for a playbook."""
