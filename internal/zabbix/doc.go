// Package zabbix turns a collection into input for Zabbix: one document of
// aggregates, with arrays of stable facts for discovery; values as lines for
// zabbix_sender; and the templates for reading them. All come from one table of
// items.
package zabbix
