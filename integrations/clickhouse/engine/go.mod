module github.com/seed-44df2ae6/whose/integrations/clickhouse/engine

go 1.26.0

require github.com/ebitengine/purego v0.11.3 // indirect
