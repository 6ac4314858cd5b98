//go:build zabbix

package zabbixtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// An object is a JSON object, of parameters or of a result.
type object map[string]any

// An api is a session with Zabbix's JSON-RPC API.
type api struct {
	url, token string
	// seven tells 7.0 from 6.0: the token moved into a header in 6.4, and
	// groups of templates became their own in 6.2.
	seven bool
}

// login opens a session as the user that Zabbix has from the start.
func login(url string) (*api, error) {
	a := &api{url: url}
	var version string
	if err := a.call("apiinfo.version", []string{}, &version); err != nil {
		return nil, err
	}
	a.seven = !strings.HasPrefix(version, "6.0")
	var token string
	if err := a.call("user.login", object{"username": "Admin", "password": "zabbix"}, &token); err != nil {
		return nil, err
	}
	a.token = token
	return a, nil
}

// call asks and decodes the result.
func (a *api) call(method string, params, result any) error {
	body := object{"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
	if a.token != "" && !a.seven {
		body["auth"] = a.token
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequest(http.MethodPost, a.url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json-rpc")
	if a.token != "" && a.seven {
		request.Header.Set("Authorization", "Bearer "+a.token)
	}
	client := http.Client{Timeout: 2 * time.Minute}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	defer response.Body.Close()
	var answer struct {
		Result json.RawMessage
		Error  json.RawMessage
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	if answer.Error != nil {
		return fmt.Errorf("%s: %s", method, answer.Error)
	}
	if err := json.Unmarshal(answer.Result, result); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return nil
}

// importTemplate imports a template, replacing what an older import left.
func (a *api) importTemplate(source []byte) error {
	rule := object{"createMissing": true, "updateExisting": true}
	whole := object{"createMissing": true, "updateExisting": true, "deleteMissing": true}
	rules := object{
		"templates": rule, "valueMaps": whole, "items": whole, "triggers": whole, "graphs": whole,
		"discoveryRules": whole, "templateDashboards": whole,
	}
	groups := "groups"
	if a.seven {
		groups = "template_groups"
	}
	rules[groups] = rule
	var done bool
	return a.call("configuration.import", object{"format": "yaml", "rules": rules, "source": string(source)}, &done)
}

// id finds one object by a filter and returns its id.
func (a *api) id(method, key string, filter object) (string, error) {
	var found []map[string]any
	if err := a.call(method, object{"filter": filter, "output": []string{key}}, &found); err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", fmt.Errorf("%s: %d found for %v, want 1", method, len(found), filter)
	}
	return found[0][key].(string), nil
}

// An item is an item or a discovery rule as the API tells it.
type item struct {
	ID    string `json:"itemid"`
	Key   string `json:"key_"`
	Name  string
	Value string `json:"lastvalue"`
	Clock string `json:"lastclock"`
	State string
	Error string
	Type  string `json:"value_type"`
}

// items returns the items of a host by their keys.
func (a *api) items(host string) (map[string]item, error) {
	var all []item
	err := a.call("item.get", object{
		"hostids": host, "output": []string{"itemid", "key_", "name", "lastvalue", "lastclock", "state", "error", "value_type"},
	}, &all)
	byKey := make(map[string]item, len(all))
	for _, i := range all {
		byKey[i.Key] = i
	}
	return byKey, err
}

// problems returns the names of the unsolved, unsuppressed problems of a host.
func (a *api) problems(host string) ([]string, error) {
	var all []struct{ Name string }
	err := a.call("problem.get", object{"hostids": host, "output": []string{"name"}}, &all)
	var names []string
	for _, p := range all {
		names = append(names, p.Name)
	}
	return names, err
}

// clocks returns when an item got its values since a moment, oldest first.
func (a *api) clocks(i item, since time.Time) ([]int64, error) {
	var all []struct{ Clock json.Number }
	err := a.call("history.get", object{
		"itemids": i.ID, "history": i.Type, "time_from": since.Unix(), "sortfield": "clock", "output": []string{"clock"},
	}, &all)
	var clocks []int64
	for _, v := range all {
		n, err := v.Clock.Int64()
		if err != nil {
			return nil, err
		}
		clocks = append(clocks, n)
	}
	return clocks, err
}
