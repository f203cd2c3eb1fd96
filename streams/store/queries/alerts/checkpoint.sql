-- How far one partition of value-windows has been judged.
SELECT toUnixTimestamp64Micro(watermark) AS watermark FROM alert_checkpoints FINAL WHERE wpart = {wpart:UInt16}
