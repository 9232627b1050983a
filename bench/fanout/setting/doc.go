// Package setting makes what a gateway needs, without the rest of Pulseboard:
// a redis-server of its own, dashboards as the config service publishes them,
// and results as the pipeline does. So what is measured is the gateway alone.
//
//	Publisher ──XADD, PUBLISH──▶ redis-server ──▶ gateway processes ──▶ clients
//
// The servers are child processes; the kernel ends them with this one.
package setting
