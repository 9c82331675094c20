"""The printed tables, against what the text of the reference says of them and against each other."""

import math
from collections import Counter

from companion.reported import LATER, TABLE_1, columns


def test_table_1_has_the_printed_rows_once_each():
    keys = [(row.statistic, row.steps, row.seeds) for row in TABLE_1]
    assert len(keys) == len(set(keys)) == 22
    assert Counter(name for name, *_ in keys) == {
        "carlini": 2,
        "ren_layer": 3,
        "ren_attention": 3,
        "chen": 3,
        "wen": 9,
        "jeon": 2,
    }


def test_what_the_paper_says_of_its_table():
    at = {(row.statistic, row.steps, row.seeds): row for row in TABLE_1}
    ours, theirs = at["jeon", 1, 4], at["wen", 5, 16]
    assert (ours.auc[0], ours.tpr[0]) == (theirs.auc[0], theirs.tpr[0])  # equal on 1.4
    assert ours.auc[1] == max(row.auc[1] for row in TABLE_1)  # the best area on 2.0
    assert ours.tpr[1] < max(row.tpr[1] for row in TABLE_1)  # but not the best rate
    for seeds in (1, 4):
        assert at["jeon", 1, seeds].auc > at["wen", 1, seeds].auc


def test_all_are_shares():
    for row in (*TABLE_1, *LATER):
        assert all(0 <= share <= 1 for share in (*row.auc, *(row.tpr or ())))


def test_columns_are_those_of_the_row_or_empty():
    assert columns("wen", 5, 4) == {
        "published AUC, SD 1.4": 0.997,
        "published AUC, SD 2.0": 0.984,
        "published TPR, SD 1.4": 0.978,
        "published TPR, SD 2.0": 0.917,
    }
    for nothing in (columns("wen", 5, 2), columns("nobody", 5, 4)):
        assert nothing.keys() == columns("wen", 5, 4).keys()
        assert all(math.isnan(value) for value in nothing.values())
