"""Run by Airflow's Python: the DAGs of a folder as Airflow reads them, in a line of JSON."""

from __future__ import annotations

import json
import sys

from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization

bag = DagBag(sys.argv[1])
found = {
    name: {
        "timetable": DagSerialization.to_dict(dag)["dag"]["timetable"]["__var"],
        "max_active_runs": dag.max_active_runs,
        "catchup": dag.catchup,
        "tasks": {task.task_id: [sorted(task.upstream_task_ids), task.retries] for task in dag.tasks},
        "outlets": [outlet.name for task in dag.tasks for outlet in task.outlets],
    }
    for name, dag in bag.dags.items()
}
print(json.dumps({"errors": bag.import_errors, "dags": found}))
