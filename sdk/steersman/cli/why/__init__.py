"""Why an object is the way it is: from facts to findings, and to what can be done.

`facts` says what is known and what an answer is made of; one module per sort of object turns facts into an answer, and
none of them talks to anybody; `gather` collects the facts from the apiserver.
"""
