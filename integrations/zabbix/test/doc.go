// Package zabbixtest shows the template against a real Zabbix: the script up
// starts one on this machine, and the tests, built with the tag zabbix, open
// sockets in processes of their own and ask Zabbix's API what it knows of them.
// make test-zabbix runs it on Debian 12 (6.0), make test-zabbix7 in a tree of
// Debian 13 (7.0), each in a room (scripts/room) whose end ends all of it.
package zabbixtest
