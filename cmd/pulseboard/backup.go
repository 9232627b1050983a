package main

import (
	"context"
	"errors"
	"fmt"

	"pulseboard/configsvc"
	"pulseboard/internal/audit"
	"pulseboard/internal/conf"
	"pulseboard/internal/service"
)

const aboutBackup = `
pulseboard backup writes all dashboards and their versions, as they are at one
moment, to one file. Services may run and people may edit meanwhile.

  pulseboard backup --database .pulseboard/pulseboard.db --out dashboards.backup
  pulseboard backup --database postgres://pulseboard@db:5432/pulseboard --out dashboards.backup

The file is there whole or not at all: it gets its name once it is on the disk,
and takes the place of one from before. It is the same of SQLite and PostgreSQL,
and can be restored into either. Tokens are in a file of their own: copy that too.`

const aboutRestore = `
pulseboard restore makes the dashboards what they were when a backup was made.

  pulseboard restore --in dashboards.backup --database .pulseboard/pulseboard.db

Services may run on the database: pages, streams and the pipeline follow within
seconds. All of it is done or nothing. A dashboard that differs from the backup
gets a new version; those of its versions that are newer than the backup stay in
its history, and dashboards made since then are deleted, so that each can be
brought back. The database may be empty, or be another than the one before.

A SQLite database that has lost changes, because its log was damaged or an older
copy stands in its place, is not started. Restore a backup, or go on with what it
still holds:

  pulseboard restore --accept-loss --database .pulseboard/pulseboard.db`

// ownDatabase is where pulseboard run has it.
const ownDatabase = ".pulseboard/pulseboard.db"

func backup(ctx context.Context, env service.Env) (err error) {
	var database configsvc.Database
	var out, record string
	f := conf.New("pulseboard backup", aboutBackup)
	configsvc.DatabaseFlags(f, &database, ownDatabase, "database of dashboards")
	f.StringVar(&out, "out", "", "`file` that is written")
	audit.Flag(f.FlagSet, &record)
	if err := f.Parse(env.Args, env.Getenv, env.Stdout); err != nil {
		return err
	}
	if out == "" {
		return errors.New("--out is empty: name the file to write the backup to")
	}
	s, err := configsvc.OpenToRead(ctx, database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	n, err := s.Backup(ctx, out)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(env.Stdout, "%s: %d dashboards, %d versions\n", out, n.Dashboards, n.Versions)
	return appendAudit(env, record, audit.Entry{Event: audit.Backup, File: out})
}

func restore(ctx context.Context, env service.Env) error {
	var database configsvc.Database
	var in, record string
	var acceptLoss bool
	f := conf.New("pulseboard restore", aboutRestore)
	configsvc.DatabaseFlags(f, &database, ownDatabase, "database of dashboards")
	f.StringVar(&in, "in", "", "`file` that pulseboard backup wrote")
	f.BoolVar(&acceptLoss, "accept-loss", false, "in place of a backup, go on with what is left in a SQLite database that has lost changes")
	audit.Flag(f.FlagSet, &record)
	if err := f.Parse(env.Args, env.Getenv, env.Stdout); err != nil {
		return err
	}
	switch {
	case acceptLoss && in != "":
		return errors.New("--in and --accept-loss exclude each other: restore a backup, or go on with what is left")
	case acceptLoss:
		n, lost, err := configsvc.AcceptLoss(ctx, database)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(env.Stdout, "%s: %d changes are lost for good, %d dashboards are there\n", database, lost, n.Restored)
		return appendAudit(env, record, audit.Entry{Event: audit.Restore, Action: "accept-loss"})
	case in == "":
		return errors.New("--in is empty: name the file that pulseboard backup wrote")
	}
	n, err := configsvc.RestoreBackup(ctx, database, in)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(env.Stdout, "%d dashboards restored, %d are as they were, %d that were made since are deleted; %d versions added\n",
		n.Restored, n.Unchanged, n.Deleted, n.Versions)
	return appendAudit(env, record, audit.Entry{Event: audit.Restore, File: in})
}
