"""`ltv-pipeline deploy`: makes in Google Cloud what worker, pipeline and consumers need, and says who may do what.

`wanted` and `plan` decide, as pure functions; a part (`messaging`, `alarm`, `datasets`, `tables`, `schedules`) asks its
service and changes it; `command` puts them together.
"""
