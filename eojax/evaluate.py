"""stub for the loop"""
def validate(run, state): return {'validation_accuracy': 0.5}
def sample_picture(run, state, step): return None
def evaluate_run(run, state, out): return out
