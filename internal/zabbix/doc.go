// Package zabbix makes of a collection what Zabbix takes well: one document of
// aggregates with arrays for discovery that hold stable facts only, values as
// lines for zabbix_sender, and the templates that read them, all from one table
// of items.
package zabbix
