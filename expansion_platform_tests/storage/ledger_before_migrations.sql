-- A ledger as it was made before migrations: the dump of a file that the code before them wrote.
CREATE TABLE alert_deliveries (
	"key" VARCHAR(64) NOT NULL, 
	channel VARCHAR(100) NOT NULL, 
	attempts INTEGER NOT NULL, 
	last_error TEXT, 
	posted_as VARCHAR(100), 
	sent_at VARCHAR(32), 
	PRIMARY KEY ("key", channel)
);
INSERT INTO "alert_deliveries" VALUES('key-1','slack',1,NULL,'1700000000.000001','2026-11-03T06:00:00+00:00');
INSERT INTO "alert_deliveries" VALUES('key-1','mail',1,NULL,NULL,'2026-11-03T06:00:00+00:00');
INSERT INTO "alert_deliveries" VALUES('key-2','slack',2,'Slack refused the alert: is_archived',NULL,NULL);
INSERT INTO "alert_deliveries" VALUES('key-0','slack',2,NULL,'1.1','2026-01-05T06:00:00+00:00');
CREATE TABLE alert_states (
	fingerprint VARCHAR(64) NOT NULL, 
	rule VARCHAR(50) NOT NULL, 
	scope VARCHAR(100) NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	month VARCHAR(7) NOT NULL, 
	severity VARCHAR(20) NOT NULL, 
	since VARCHAR(7), 
	recovers_at TEXT, 
	baseline TEXT, 
	clear_months INTEGER NOT NULL, 
	entry VARCHAR(64), 
	PRIMARY KEY (fingerprint)
);
INSERT INTO "alert_states" VALUES('f1','rate_drop','total','firing','2026-09','critical','2026-08','29/2000','161/10000',1,'key-1');
INSERT INTO "alert_states" VALUES('f2','below_target','segment:smb','ok','2026-09','warning',NULL,NULL,NULL,0,NULL);
CREATE TABLE alerts (
	"key" VARCHAR(64) NOT NULL, 
	rule VARCHAR(50) NOT NULL, 
	scope VARCHAR(100) NOT NULL, 
	month VARCHAR(7) NOT NULL, 
	severity VARCHAR(20) NOT NULL, 
	message TEXT NOT NULL, 
	event VARCHAR(20), 
	thread VARCHAR(64), 
	status VARCHAR(20) NOT NULL, 
	attempts INTEGER NOT NULL, 
	last_error TEXT, 
	posted_as VARCHAR(100), 
	sent_at VARCHAR(32), 
	PRIMARY KEY ("key")
);
INSERT INTO "alerts" VALUES('key-1','rate_drop','total','2026-08','critical','{"blocks": [{"type": "divider"}], "text": "Expansion fell to 1.5 %: it''s the \"worst\" month \u2014 since 2025"}','entry',NULL,'sent',0,NULL,NULL,NULL);
INSERT INTO "alerts" VALUES('key-2','rate_drop','total','2026-09','critical','{"blocks": [], "entry": {"blocks": [], "key": "key-1", "text": "Resolved."}, "text": "Over"}','recovery','key-1','pending',0,NULL,NULL,NULL);
INSERT INTO "alerts" VALUES('key-3','data_quality','total','2026-10','warning','{"blocks": [], "text": "waits"}','entry',NULL,'pending',0,NULL,NULL,NULL);
INSERT INTO "alerts" VALUES('key-0','expansion_drop','total','2025-12','warning','{"text": "old"}',NULL,NULL,'sent',2,NULL,'1.1','2026-01-05T06:00:00+00:00');
CREATE TABLE builds (
	table_name VARCHAR(100) NOT NULL, 
	month VARCHAR(7) NOT NULL, 
	inputs VARCHAR(64) NOT NULL, 
	state VARCHAR(64) NOT NULL, 
	PRIMARY KEY (table_name, month)
);
INSERT INTO "builds" VALUES('billing/item_states','all','aaaa','bbbb');
INSERT INTO "builds" VALUES('mrr/movements','2026-09','inputs-9','state-9');
INSERT INTO "builds" VALUES('mrr/movements','2026-10','inputs-10','absent');
INSERT INTO "builds" VALUES('mrr/first_reported','2026-08','2026-11-03T05:00:00+00:00 8888888888888888','state-8');
INSERT INTO "builds" VALUES('mrr/first_reported','2026-09','2026-11-03T06:30:00.250000+01:00 9999999999999999','absent');
INSERT INTO "builds" VALUES('mrr/first_reported','2026-10','open','absent');
INSERT INTO "builds" VALUES('alerts/expansion','2026-08','policy-a','judged');
INSERT INTO "builds" VALUES('alerts/expansion','2026-09','policy-b','judged');
INSERT INTO "builds" VALUES('billing/item_states by month','2026-09','basis','told');
INSERT INTO "builds" VALUES('who began changes by month','2026-09','basis','said');
CREATE TABLE cursors (
	source VARCHAR(100) NOT NULL, 
	state TEXT NOT NULL, 
	PRIMARY KEY (source)
);
INSERT INTO "cursors" VALUES('stripe','{"last_pull_at": 1793682000, "recent_events": ["evt_1", "evt_2"], "reconciled_at": 1793682000, "server": "api.stripe.com"}');
INSERT INTO "cursors" VALUES('stripe, under way','{"as_of": "2026-11-04T06:00:00+00:00", "server": "api.stripe.com"}');
INSERT INTO "cursors" VALUES('billing/item_changes read of','{"made": "0123456789abcdef", "points": {"stripe/events": null, "stripe/invoices": ["table-1", 7]}, "stored": ["77aa"], "until": "2026-11-03T05:00:00+00:00"}');
INSERT INTO "cursors" VALUES('billing/item_states read of','{"made": "fedcba9876543210", "points": {"billing/item_changes": ["table-2", 3]}, "stored": ["88bb", "99cc"], "until": null}');
CREATE TABLE pull_windows (
	source VARCHAR(100) NOT NULL, 
	name VARCHAR(100) NOT NULL, 
	gte BIGINT NOT NULL, 
	lt BIGINT NOT NULL, 
	PRIMARY KEY (source, name, gte)
);
INSERT INTO "pull_windows" VALUES('stripe, under way','customers',0,1790000000);
INSERT INTO "pull_windows" VALUES('stripe, under way','customers',1790000000,1793768400);
INSERT INTO "pull_windows" VALUES('stripe, under way','invoices',0,1793768400);
CREATE INDEX ix_alerts_status ON alerts (status);
