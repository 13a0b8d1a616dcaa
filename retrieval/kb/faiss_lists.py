"""Scanning lists with faiss: the only file that imports it."""

from __future__ import annotations

from typing import Any

import faiss as _faiss
import numpy as np
from numpy.typing import NDArray

from cache.errors import InputError
from retrieval.kb.lists import Cells, Lists, Scanned

# Its own stubs know nothing of what it adds for arrays.
faiss: Any = _faiss


class FaissScanner:
    """A `Scanner` by faiss' IVF with a scalar quantiser of fp16 (``IVF<cells>,SQfp16``).

    The quantiser keeps our vectors as they are, for they are fp16. The lists are mapped read-only,
    so that processes share them. Threads are those of OpenMP (``OMP_NUM_THREADS``).
    """

    def __init__(self, lists: Lists) -> None:
        """Let faiss map the file of ``lists``, whose sizes and places were checked."""
        num_cells = len(lists.sizes)
        self._cells = faiss.IndexFlatIP(lists.dim)
        self._cells.add(lists.middles.astype(np.float32))
        self._index = faiss.IndexIVFScalarQuantizer(
            self._cells,
            lists.dim,
            num_cells,
            faiss.ScalarQuantizer.QT_fp16,
            faiss.METRIC_INNER_PRODUCT,
            False,  # the vectors themselves, not what is left of them beside a middle
        )
        self._index.is_trained = True
        self._mapped = _mapped(lists)
        self._index.replace_invlists(self._mapped, False)
        self._index.ntotal = int(lists.sizes.sum())

    def nearest_cells(self, queries: NDArray[np.float32], most: int) -> Scanned:
        """Return the ``most`` nearest cells of each query."""
        return Scanned(*self._cells.search(queries, most))

    def scan(
        self,
        queries: NDArray[np.float32],
        cells: Cells,
        most: int,
        allowed: NDArray[np.uint8] | None,
    ) -> Scanned:
        """Return the ``most`` best lines in the lists of ``cells``."""
        probes = cells.shape[1]
        parameters = faiss.SearchParametersIVF(nprobe=probes)
        if allowed is not None:
            parameters.sel = faiss.IDSelectorBitmap(allowed)
        # What the middles score is of no use here, where vectors are kept whole.
        unused = np.zeros(cells.shape, np.float32)
        scores = np.empty((len(queries), most), np.float32)
        lines = np.empty((len(queries), most), np.int64)
        # By pointers, for the method for arrays takes no parameters; all must outlive the call.
        queries = np.ascontiguousarray(queries, np.float32)
        cells = np.ascontiguousarray(cells, np.int64)
        self._index.search_preassigned_c(
            len(queries),
            faiss.swig_ptr(queries),
            most,
            faiss.swig_ptr(cells),
            faiss.swig_ptr(unused),
            faiss.swig_ptr(scores),
            faiss.swig_ptr(lines),
            False,
            parameters,
        )
        return Scanned(np.where(lines < 0, np.float32(-np.inf), scores), lines)


def _mapped(lists: Lists) -> Any:
    table = np.empty((len(lists.sizes), 3), np.uint64)  # size, capacity, place, as in faiss
    table[:, 0], table[:, 1], table[:, 2] = lists.sizes, lists.capacities, lists.places[:-1]
    mapped = faiss.OnDiskInvertedLists(len(lists.sizes), lists.line_bytes, str(lists.path))
    # Threads that read ahead take longer than what is in memory already.
    mapped.prefetch_nthread = 0
    faiss.memcpy(mapped.lists.data(), faiss.swig_ptr(table), table.nbytes)
    mapped.totsize = int(lists.places[-1])
    mapped.read_only = True
    mapped.do_mmap()
    # The table was laid over faiss' own; another layout would show here.
    last = len(lists.sizes) - 1
    if mapped.list_size(last) != lists.sizes[last] or mapped.list_size(0) != lists.sizes[0]:
        raise InputError(
            f"faiss {faiss.__version__} keeps its lists otherwise than this program knows. "
            "Install the version that the extra [faiss] names, or none."
        )
    return mapped
