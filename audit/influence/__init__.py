"""How strongly a training response can have moved a token of an answer: scores by the model, without spans or tiers.

`queries` says which tokens, `states` reads what the model predicts them from, `closed_form` scores rows by forward
passes alone, `stored` keeps the states of the training rows between runs. Torch is imported only by what runs a model.
"""

from audit.influence.closed_form import StateScores, closed_form_dots, state_cosines, state_scores
from audit.influence.queries import TokenQuery, query_of_span
from audit.influence.states import (
    OutputLayer,
    QueryStates,
    RowStates,
    output_layer,
    query_states,
    response_states,
    trained_positions,
)
from audit.influence.stored import (
    build_token_index,
    holder_cosines,
    open_token_index,
    stored_states,
    token_index_folder,
)

__all__ = [
    "OutputLayer",
    "QueryStates",
    "RowStates",
    "StateScores",
    "TokenQuery",
    "build_token_index",
    "closed_form_dots",
    "holder_cosines",
    "open_token_index",
    "output_layer",
    "query_of_span",
    "query_states",
    "response_states",
    "state_cosines",
    "state_scores",
    "stored_states",
    "token_index_folder",
    "trained_positions",
]
