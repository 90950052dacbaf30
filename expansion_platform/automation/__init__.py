"""What runs by itself and how runs ended: jobs, schedules, sensors, run history."""
