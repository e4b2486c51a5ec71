-- A store of schema version 1 (callcoach 0.1.0 before runs were recorded): one call and one failure.
CREATE TABLE calls (
  call_id TEXT NOT NULL,
  path TEXT,
  sha256 TEXT,
  started_at TEXT,
  duration DOUBLE,
  channels BIGINT,
  sample_rate BIGINT,
  codec TEXT,
  language TEXT,
  agent_id TEXT,
  agent_name TEXT,
  team TEXT,
  direction TEXT,
  speaker_source TEXT,
  role_confidence DOUBLE,
  status TEXT,
  error TEXT,
  warnings TEXT,
  preset TEXT,
  program_version TEXT,
  processing_seconds DOUBLE,
  agent_talk_s DOUBLE,
  agent_talk_ratio DOUBLE,
  agent_turns BIGINT,
  agent_units BIGINT,
  agent_speaking_rate DOUBLE,
  agent_articulation_rate DOUBLE,
  agent_speaking_rate_p10 DOUBLE,
  agent_speaking_rate_p50 DOUBLE,
  agent_speaking_rate_p90 DOUBLE,
  agent_level_dbfs DOUBLE,
  agent_level_sd_db DOUBLE,
  agent_f0_median_hz DOUBLE,
  agent_pitch_sd_st DOUBLE,
  agent_pitch_range_st DOUBLE,
  agent_interruptions BIGINT,
  agent_interruption_s DOUBLE,
  agent_backchannels BIGINT,
  agent_longest_turn_s DOUBLE,
  agent_response_latency_p50 DOUBLE,
  agent_response_latency_p90 DOUBLE,
  customer_talk_s DOUBLE,
  customer_talk_ratio DOUBLE,
  customer_turns BIGINT,
  customer_units BIGINT,
  customer_speaking_rate DOUBLE,
  customer_articulation_rate DOUBLE,
  customer_speaking_rate_p10 DOUBLE,
  customer_speaking_rate_p50 DOUBLE,
  customer_speaking_rate_p90 DOUBLE,
  customer_level_dbfs DOUBLE,
  customer_level_sd_db DOUBLE,
  customer_f0_median_hz DOUBLE,
  customer_pitch_sd_st DOUBLE,
  customer_pitch_range_st DOUBLE,
  customer_interruptions BIGINT,
  customer_interruption_s DOUBLE,
  customer_backchannels BIGINT,
  customer_longest_turn_s DOUBLE,
  customer_response_latency_p50 DOUBLE,
  customer_response_latency_p90 DOUBLE,
  speaking_rate_vs_norm DOUBLE,
  rate_gap DOUBLE,
  level_gap_db DOUBLE,
  holds BIGINT,
  hold_s DOUBLE,
  longest_hold_s DOUBLE,
  holds_unannounced BIGINT,
  dead_air BIGINT,
  dead_air_s DOUBLE,
  rings BIGINT,
  first_speech_s DOUBLE,
  overlap_s DOUBLE,
  overlap_ratio DOUBLE,
  silence_ratio DOUBLE,
  compliance_score DOUBLE,
  compliance_passed BIGINT,
  compliance_failed BIGINT,
  compliance_unjudged BIGINT,
  outside_score DOUBLE,
  outside_agreement DOUBLE,
  PRIMARY KEY (call_id)
);
CREATE INDEX calls_agent_id ON calls (agent_id);
CREATE INDEX calls_started_at ON calls (started_at);
CREATE TABLE events (
  call_id TEXT NOT NULL,
  event BIGINT NOT NULL,
  kind TEXT,
  "by" TEXT,
  start DOUBLE,
  "end" DOUBLE,
  seconds DOUBLE,
  detail TEXT,
  confidence DOUBLE,
  PRIMARY KEY (call_id, event)
);
CREATE TABLE failures (
  position BIGINT NOT NULL,
  path TEXT,
  call_id TEXT NOT NULL,
  stage TEXT,
  error_type TEXT,
  message TEXT,
  hint TEXT,
  PRIMARY KEY (call_id, position)
);
CREATE TABLE outside_scores (
  file TEXT NOT NULL,
  "row" BIGINT NOT NULL,
  call_id TEXT,
  given_call_id TEXT,
  recording TEXT,
  item_id TEXT,
  verdict TEXT,
  score DOUBLE,
  max_score DOUBLE,
  reviewer TEXT,
  scored_at TEXT,
  note TEXT,
  problem TEXT,
  PRIMARY KEY (file, "row")
);
CREATE INDEX outside_scores_call_id ON outside_scores (call_id);
CREATE TABLE results (
  call_id TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  settings_hash TEXT NOT NULL,
  weights_hash TEXT NOT NULL,
  rubric_hash TEXT NOT NULL,
  saved_at TEXT NOT NULL,
  payload BLOB NOT NULL,
  PRIMARY KEY (call_id)
);
CREATE TABLE turns (
  call_id TEXT NOT NULL,
  turn BIGINT NOT NULL,
  speaker TEXT,
  start DOUBLE,
  "end" DOUBLE,
  text TEXT,
  text_masked TEXT,
  units BIGINT,
  speaking_rate DOUBLE,
  articulation_rate DOUBLE,
  level_dbfs DOUBLE,
  f0_median_hz DOUBLE,
  pitch_sd_st DOUBLE,
  is_backchannel BOOLEAN,
  confidence DOUBLE,
  phase TEXT,
  PRIMARY KEY (call_id, turn)
);
CREATE TABLE verdicts (
  position BIGINT NOT NULL,
  call_id TEXT NOT NULL,
  item_id TEXT,
  source TEXT,
  verdict TEXT,
  score DOUBLE,
  max_score DOUBLE,
  weight DOUBLE,
  speaker TEXT,
  start DOUBLE,
  "end" DOUBLE,
  quote TEXT,
  matched TEXT,
  confidence DOUBLE,
  reviewer TEXT,
  note TEXT,
  PRIMARY KEY (call_id, position)
);
CREATE INDEX verdicts_item_id ON verdicts (item_id);
CREATE TABLE migrations (
  version INTEGER NOT NULL,
  name TEXT NOT NULL,
  applied_at TEXT NOT NULL,
  PRIMARY KEY (version)
);
INSERT INTO calls ("call_id", "path", "sha256", "started_at", "duration", "channels", "sample_rate", "codec", "language", "agent_id", "agent_name", "team", "direction", "speaker_source", "role_confidence", "status", "warnings", "preset", "program_version", "processing_seconds", "agent_talk_s", "agent_turns", "agent_interruptions", "customer_talk_s", "holds", "rings", "compliance_score")
  VALUES ('c1', '/calls/c1.wav', 'abababababababababababababababababababababababababababababababab', '2026-03-12T10:05:00+08:00', 61.25, 2, 8000, 'pcm_mulaw', 'zh', 'A1', '小李', '一组', 'inbound', 'channel', 0.97, 'ok', 'left channel clipped; short', 'default', '0.1.0', 2.75, 20.5, 2, 0, 18.0, 1, 2, 87.5);
INSERT INTO calls ("call_id", "path", "status", "error")
  VALUES ('broken', '/calls/broken.wav', 'failed', 'not audio');
INSERT INTO events ("call_id", "event", "kind", "by", "start", "end", "seconds", "detail", "confidence")
  VALUES ('c1', 0, 'hold', 'agent', 20.0, 40.0, 20.0, '{"medium": "music", "consent": null}', 1.0);
INSERT INTO events ("call_id", "event", "kind", "by", "start", "end", "seconds", "detail", "confidence")
  VALUES ('c1', 1, 'interruption', 'customer', 50.0, 51.0, 1.0, '{"yielded": true}', 0.7);
INSERT INTO failures ("position", "path", "call_id", "stage", "error_type", "message", "hint")
  VALUES (0, '/calls/broken.wav', 'broken', 'audio', 'UnreadableAudio', 'not audio', 'Check.');
INSERT INTO results ("call_id", "sha256", "settings_hash", "weights_hash", "rubric_hash", "saved_at", "payload")
  VALUES ('c1', 'abababababababababababababababababababababababababababababababab', 's1', 'dc95d91d94e57e5c83dc89a4bc0191866fe0ab981985985eabefb81aba755f7c', 'r1', '2026-11-22T03:45:28+00:00', X'789ced58cb6e1b3714fd9560b695959991c60fedfa0fdd19c2809aa134ace7153eac388200a3e8a2dd34cb6e5aa01b035925ddd58591bfb19df42f7a2e392f394d14a04551a0b601c3bce47d9cc37b49ded9789227954c45b9f2661baf663af366ded384e5b97a9a04e3353bf7461e0d639162260930642b5e6a37feb21f97ace090dcfdfaf2fee71f20d59c1518df5e5fbebbf916e354c095165509a1281795295348956652f334661ae2d00f0f0ffcc941107e15f8333f9af9fe17fe31fe520c46e9aae0b2f1539a3c6f3d27192b4b9eb7420930ca9b85236fcd848e552b7f66b86934b7709cb1303a8453b6f87bbf04cd48e6901d06e33042b02e22178562459df3184be0fdd8f77dcc57294fe0bb4e8ab830395bc348ceca950120885f64c44ccdd919f0aacac884a42d4c20ac602fa9caa548794973fef8e4c872a90d7c7ad59947e065e99838f572bed44f1afd27492eea9a5bf2b34a6a6f4ed4b05ce80b2cdd746e66885395324e17de6c128c296a5284c9d8a225afbe1f8cbc052bd3b5487516672fb074eafbb418e1f32423f627769cf3739ec3d81292837032064bb5ac16392f6c84ad6d6fbe453c466b2e19a0291b5243056d166d789b36368291c79148b3701c52ca3da734ba7dfbcbddd5dbf76f7efbe3c7d7f73f7d7f7b7379fbfb77772fdfdcde5cdd5dbfbeffe615b183a46f8c3f34e58f8368688b926f97ebed68a016766a935e0dfef7a84d3bb5a85743cc7bd40efd9d9fa0b372143d9c686c82843d368f3b23271f33021a3f6924e8d80b76d8bbb9dca316eee2093b2b0332b17b7bac4cff9a9560c82d12608f95c34eed6808e16a8fda71a77632f076fd69d6c341e60e0873c9f9506dfe81086700ff1ac729cad81d6858a28d2c5d4ad37fae7e3fb37054cdacea29c9b197f3d129766084b9f9fcb1ac1ecbeaff535642c50b969c7597e092e58ae3aaca98a23b7851a517b0644aa191e641d09458732972baec6cc6231891e062a7574133e31e21bbd7e094d62efdb8e0a960a5bd3fddb25a68ba3cd358e9f6c5d29675302cebf655d457f6a46320daa96c924f6d654f51d9d163653f56f66365ff272a1bc142b5d4aebae0911aabaccad3bea8c3bed8a6f6dfc5c5e04e4fb96622a7fe8dbc19eaba0aa344e28851b4a8ed7a86ac200589dfc6a128f1e496a6b67d4ce738ea1d4741e77870eaf4be2f04cf537a8f6869f8f6e1061c11cc823365243dea374deba6597e463d020046831eaf1507c79672b7d43d6fc2aeff1c04acec6bc7c93f207864c954f6e44c2af462823a8b58a1efa586ec681c21da738e263869f640685eb8feb6aa393551f14a72aea93d01336d3f26cd425a921b5deae79852b4c49986bf823d8ffbd19a8b55d6e6f267bccd2ce3cf4c4549d61cd21ed904c0f6e1b7cb73d300f373c1d764da8dcbaacd52daef1e1cd1126bd4c399da836b497bdce1f23f862bd8c1e59c37a0dcc0a26abbf1aaaf9d7f16124c25c8ea3d98129c0315d28ae703686d381d3a2768013690fe658473db2ae3886076fd0623ae386148f992999c72070b56921531f029f78d05b7f2983e9c602565ae8a71d0d1c71d459f6c1c205b88eb4c0010e5e13af050090d55e0cc0e816e8562e1883875856b52d7fca3609992b683b0155409dbaf6fb63b9dfd7cfb271372025e');
INSERT INTO turns ("call_id", "turn", "speaker", "start", "end", "text", "units", "speaking_rate", "level_dbfs", "is_backchannel", "confidence", "phase")
  VALUES ('c1', 0, 'agent', 0.0, 2.2, '你好请问有什么可以帮您', 11, 300.0, -24.0, 0, 0.9, 'body');
INSERT INTO turns ("call_id", "turn", "speaker", "start", "end", "text", "units", "speaking_rate", "level_dbfs", "is_backchannel", "confidence", "phase")
  VALUES ('c1', 1, 'customer', 3.0, 5.2, '你好请问有什么可以帮您', 11, 300.0, -24.0, 0, 0.9, 'body');
INSERT INTO verdicts ("position", "call_id", "item_id", "source", "verdict", "score", "max_score", "weight", "speaker", "start", "end", "quote")
  VALUES (0, 'c1', 'opening_greeting', 'rubric', 'pass', 1.0, 1.0, 2.0, 'agent', 0.0, 1.0, '你好');
INSERT INTO verdicts ("position", "call_id", "item_id", "source", "verdict", "score", "max_score", "weight")
  VALUES (1, 'c1', 'hold_thanks', 'rubric', 'fail', 0.0, 1.0, 1.0);
INSERT INTO verdicts ("position", "call_id", "item_id", "source", "verdict")
  VALUES (2, 'c1', 'hold_checkin', 'rubric', 'cannot_tell');
INSERT INTO migrations ("version", "name", "applied_at")
  VALUES (1, 'first_tables', '2026-11-22T03:45:28+00:00');
