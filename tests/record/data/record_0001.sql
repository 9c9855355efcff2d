BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE audit (
	sequence INTEGER NOT NULL, 
	time VARCHAR(32) NOT NULL, 
	actor TEXT NOT NULL, 
	action TEXT NOT NULL, 
	payload TEXT NOT NULL, 
	previous_hash VARCHAR(64) NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	CONSTRAINT pk_audit PRIMARY KEY (sequence), 
	CONSTRAINT uq_audit_previous_hash UNIQUE (previous_hash), 
	CONSTRAINT uq_audit_hash UNIQUE (hash)
);
INSERT INTO "audit" VALUES(1,'2026-01-05T08:00:00.000000Z','nurse','record_made','{"record": "ddd3dfde73ac4b9daab1d5e5a8249ea5", "revision": "0001"}','0000000000000000000000000000000000000000000000000000000000000000','d7bbb0f50d6c3c0160fd74d8544e8df6d1b826fdd9526cb47fbd69af20e8c6d2');
INSERT INTO "audit" VALUES(2,'2026-01-05T08:02:00.000000Z','dr x','plan_added','{"document_sha256": "7ea2f3fe424bea440a4811a9947c8defd0d20c0a684df94753977799096e4ad6", "image_date": "2026-01-05", "irplan_version": "0.1.0", "original_sha256": "5d0e79bb6e0371451ef2eead89737dacec4ac510d4bafd193291e02075627aef", "plan_id": "127384f675f281b507b16f82b6a1ac64", "study_instance_uid": "1.2.826.0.1.3680043.8.498.1", "subject": "NIV-003", "version": 1, "visit": 1}','d7bbb0f50d6c3c0160fd74d8544e8df6d1b826fdd9526cb47fbd69af20e8c6d2','c003b939b86cc8fd0697ce2b875e1f3b4899563aac7500ed2219dc60bafbe37a');
INSERT INTO "audit" VALUES(3,'2026-01-05T08:04:00.000000Z','dr x','plan_added','{"document_sha256": "486d70266359c6d6eb5dbeb16f529359598f1af8246c1f8a53cad3d2aea65834", "image_date": "2026-01-05", "irplan_version": "0.1.0", "original_sha256": "825a108109208ec258dc68d79d4b3f21e8452090f9300efc3007b9417ce84bb9", "plan_id": "a64c3747e6b3dd689ca88ff0e8e6b47c", "study_instance_uid": "1.2.826.0.1.3680043.8.498.1", "subject": "NIV-003", "version": 1, "visit": 2}','c003b939b86cc8fd0697ce2b875e1f3b4899563aac7500ed2219dc60bafbe37a','5c926868cfdd90021f465934792db17bf417e38c6c7ceba0fd4a3a6cea8b945e');
CREATE TABLE "plan" (
	id INTEGER NOT NULL, 
	visit_id INTEGER NOT NULL, 
	plan_id VARCHAR(64) NOT NULL, 
	version INTEGER NOT NULL, 
	study_instance_uid TEXT NOT NULL, 
	image_date TEXT NOT NULL, 
	irplan_version TEXT NOT NULL, 
	added VARCHAR(32) NOT NULL, 
	added_by TEXT NOT NULL, 
	original_sha256 VARCHAR(64) NOT NULL, 
	document_sha256 VARCHAR(64) NOT NULL, 
	document TEXT NOT NULL, 
	CONSTRAINT pk_plan PRIMARY KEY (id), 
	CONSTRAINT fk_plan_visit_id FOREIGN KEY(visit_id) REFERENCES visit (id), 
	CONSTRAINT uq_plan_plan_id UNIQUE (plan_id)
);
INSERT INTO "plan" VALUES(1,1,'127384f675f281b507b16f82b6a1ac64',1,'1.2.826.0.1.3680043.8.498.1','2026-01-05','0.1.0','2026-01-05T08:01:00.000000Z','dr x','5d0e79bb6e0371451ef2eead89737dacec4ac510d4bafd193291e02075627aef','7ea2f3fe424bea440a4811a9947c8defd0d20c0a684df94753977799096e4ad6','{"allocation": {"drugs": [{"concentration_mg_per_ml": 5, "drug": "ipilimumab", "lesions": [{"lesion_id": "L1", "mg": 20, "ml": 4}], "prescribed_mg": 20, "prescribed_ml": 4}], "excluded": [], "visit": 1, "weight_kg": 71}, "case": {"frame_of_reference_uid": "1.2.826.0.1.3680043.8.498.3", "image_date": "2026-01-05", "patient_id": "", "patient_position": "supine", "series_instance_uid": "1.2.826.0.1.3680043.8.498.2", "study_instance_uid": "1.2.826.0.1.3680043.8.498.1"}, "findings": [{"accepted": null, "code": "x", "message": "read from [removed] see https://doi.org/10.1/x, 5 mg/mL", "severity": "warn", "subject": ""}], "irplan_version": "0.1.0", "lesions": [{"lesion_id": "L1"}], "needles": [], "plan_id": "127384f675f281b507b16f82b6a1ac64", "schema": "irplan.plan/1", "version": 1}');
INSERT INTO "plan" VALUES(2,2,'a64c3747e6b3dd689ca88ff0e8e6b47c',1,'1.2.826.0.1.3680043.8.498.1','2026-01-05','0.1.0','2026-01-05T08:03:00.000000Z','dr x','825a108109208ec258dc68d79d4b3f21e8452090f9300efc3007b9417ce84bb9','486d70266359c6d6eb5dbeb16f529359598f1af8246c1f8a53cad3d2aea65834','{"allocation": {"drugs": [{"concentration_mg_per_ml": 5, "drug": "ipilimumab", "lesions": [{"lesion_id": "L1", "mg": 20, "ml": 4}], "prescribed_mg": 20, "prescribed_ml": 4}], "excluded": [], "visit": 2, "weight_kg": 72}, "case": {"frame_of_reference_uid": "1.2.826.0.1.3680043.8.498.3", "image_date": "2026-01-05", "patient_id": "", "patient_position": "supine", "series_instance_uid": "1.2.826.0.1.3680043.8.498.2", "study_instance_uid": "1.2.826.0.1.3680043.8.498.1"}, "findings": [{"accepted": null, "code": "x", "message": "read from [removed] see https://doi.org/10.1/x, 5 mg/mL", "severity": "warn", "subject": ""}], "irplan_version": "0.1.0", "lesions": [{"lesion_id": "L1"}], "needles": [], "plan_id": "a64c3747e6b3dd689ca88ff0e8e6b47c", "schema": "irplan.plan/1", "version": 1}');
CREATE TABLE subject (
	id INTEGER NOT NULL, 
	code VARCHAR(64) NOT NULL, 
	CONSTRAINT pk_subject PRIMARY KEY (id), 
	CONSTRAINT uq_subject_code UNIQUE (code)
);
INSERT INTO "subject" VALUES(1,'NIV-003');
CREATE TABLE visit (
	id INTEGER NOT NULL, 
	subject_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	CONSTRAINT pk_visit PRIMARY KEY (id), 
	CONSTRAINT fk_visit_subject_id FOREIGN KEY(subject_id) REFERENCES subject (id), 
	CONSTRAINT uq_visit_subject_id_number UNIQUE (subject_id, number)
);
INSERT INTO "visit" VALUES(1,1,1);
INSERT INTO "visit" VALUES(2,1,2);
CREATE TRIGGER subject_no_update BEFORE UPDATE ON subject BEGIN SELECT RAISE(ABORT, 'rows of subject are never changed or taken away'); END;
CREATE TRIGGER subject_no_delete BEFORE DELETE ON subject BEGIN SELECT RAISE(ABORT, 'rows of subject are never changed or taken away'); END;
CREATE TRIGGER visit_no_update BEFORE UPDATE ON visit BEGIN SELECT RAISE(ABORT, 'rows of visit are never changed or taken away'); END;
CREATE TRIGGER visit_no_delete BEFORE DELETE ON visit BEGIN SELECT RAISE(ABORT, 'rows of visit are never changed or taken away'); END;
CREATE TRIGGER plan_no_update BEFORE UPDATE ON plan BEGIN SELECT RAISE(ABORT, 'rows of plan are never changed or taken away'); END;
CREATE TRIGGER plan_no_delete BEFORE DELETE ON plan BEGIN SELECT RAISE(ABORT, 'rows of plan are never changed or taken away'); END;
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'rows of audit are never changed or taken away'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'rows of audit are never changed or taken away'); END;
CREATE TRIGGER plan_no_replace BEFORE INSERT ON plan WHEN EXISTS (SELECT 1 FROM plan WHERE id = NEW.id OR plan_id = NEW.plan_id) BEGIN SELECT RAISE(ABORT, 'rows of plan are never replaced'); END;
CREATE TRIGGER audit_append_only BEFORE INSERT ON audit WHEN NEW.sequence <> (SELECT coalesce(max(sequence), 0) + 1 FROM audit) OR NEW.previous_hash <> coalesce((SELECT hash FROM audit ORDER BY sequence DESC LIMIT 1), '0000000000000000000000000000000000000000000000000000000000000000') BEGIN SELECT RAISE(ABORT, 'an audit entry only ever follows the last one'); END;
COMMIT;
